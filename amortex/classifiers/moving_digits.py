"""A small classifier of clips of moving digits, trained by ``scripts/train_moving_digits.py``."""

from collections.abc import Sequence
from typing import Any, ClassVar

from amortex.classifiers.digits3d import Digits3DNet, bundled_weights
from amortex.io.bundled import ASSETS

WEIGHTS = ASSETS / "moving_digits" / "moving_digits.safetensors"
CLASS_NAMES = ("up", "down", "left", "right")
WIDTHS = (12, 24, 48)


class MovingDigitsNet(Digits3DNet):
    """Clips ``(B, 3, 8, 24, 24)``, normalised -> logits ``(B, 4)`` of the directions; stages as of `Digits3DNet`.

    Arguments:
        num_classes: number of logits.
        widths: channels of the stages.
    """

    config: ClassVar[dict[str, Any]] = {
        "architecture": "moving_digits", "input_size": (3, 8, 24, 24), "mean": (0.04,), "std": (0.14,),
        "label_names": CLASS_NAMES,
    }  # fmt: skip

    def __init__(self, num_classes: int = len(CLASS_NAMES), widths: Sequence[int] = WIDTHS) -> None:
        super().__init__(num_classes, widths)


def moving_digits(pretrained: bool = True, num_classes: int = len(CLASS_NAMES)) -> MovingDigitsNet:
    """The classifier, with its bundled weights if it is `pretrained`.

    Raises:
        InputError: pretrained for another number of classes than four; the weights are missing or damaged.
    """
    network = MovingDigitsNet(num_classes)
    if pretrained:
        bundled_weights(network, str(WEIGHTS))
    return network
