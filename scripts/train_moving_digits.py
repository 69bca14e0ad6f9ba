"""Train the bundled classifier of moving digits: ``python scripts/train_moving_digits.py`` writes it.

Repeatable on one machine with one thread.
"""

import argparse
import time
from pathlib import Path

import torch
from train_digits3d import train, write_weights

from amortex.classifiers.moving_digits import WEIGHTS, MovingDigitsNet
from amortex.data.moving_digits import MovingDigits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6, help="in each of which each digit moves once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    torch.manual_seed(options.seed)
    network = MovingDigitsNet()
    share = train(network, MovingDigits("train"), MovingDigits("validation", poses=3), options.epochs)
    write_weights(options.out, network, accuracy=f"{share:.4f}", epochs=options.epochs, seed=options.seed)
    count = sum(parameter.numel() for parameter in network.parameters())
    seconds = time.perf_counter() - start
    print(f"{count} weights, accuracy {share:.3f} on held-out digits, {seconds:.0f} s: {options.out}")


if __name__ == "__main__":
    main()
