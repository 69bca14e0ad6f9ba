"""Train the bundled classifier of moving digits: ``python scripts/train_moving_digits.py`` writes it.

Repeatable on one machine with one thread. In an epoch each digit moves once.
"""

from train_digits3d import command

from amortex.classifiers.moving_digits import WEIGHTS, MovingDigitsNet
from amortex.data.moving_digits import MovingDigits


def main() -> None:
    command(__doc__, MovingDigitsNet, lambda: (MovingDigits("train"), MovingDigits("validation", poses=3)), WEIGHTS, 6)


if __name__ == "__main__":
    main()
