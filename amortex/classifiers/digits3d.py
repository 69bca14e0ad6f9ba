"""A small classifier of 3-D digits, trained by ``scripts/train_digits3d.py``."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from amortex.classifiers.weight_files import read_weight_file
from amortex.core.errors import InputError
from amortex.io.bundled import ASSETS

WEIGHTS = ASSETS / "digits3d" / "digits3d.safetensors"
CLASS_NAMES = tuple("0123456789")
WIDTHS = (16, 32, 64, 128)


class Digits3DNet(nn.Module):
    """Volumes ``(B, 1, D, H, W)``, normalised -> logits ``(B, 10)``.

    Four stages of convolution, batch normalisation and ReLU, the side halved from one to the next; the linear head
    averages over positions. It shows its feature maps in timm's way.

    Arguments:
        num_classes: number of logits.
        widths: channels of the stages.

    Attributes:
        config: what the network says of itself, also to timm; subclasses are for other inputs and classes.
    """

    config: ClassVar[dict[str, Any]] = {
        "architecture": "digits3d", "input_size": (1, 16, 16, 16), "mean": (0.04,), "std": (0.15,),
        "label_names": CLASS_NAMES,
    }  # fmt: skip

    def __init__(self, num_classes: int = 10, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.pretrained_cfg: dict[str, Any] = dict(self.config)
        self.num_classes = num_classes
        stages: list[nn.Module] = []
        for channels, width in zip((self.config["input_size"][0], *widths), widths, strict=False):
            pool = nn.MaxPool3d(2) if stages else nn.Identity()
            conv = nn.Conv3d(channels, width, 3, padding=1, bias=False)
            stages.append(nn.Sequential(pool, conv, nn.BatchNorm3d(width), nn.ReLU()))
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.stages(x))

    def forward_head(self, x: Tensor) -> Tensor:
        """Logits of final features ``(B, 128, *positions)``."""
        logits: Tensor = self.head(x.mean((2, 3, 4)))
        return logits

    def forward_intermediates(self, x: Tensor, indices: list[int] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Final features, and the maps of the stages with these indices, by default of all."""
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return x, [maps[index] for index in (range(len(maps)) if indices is None else indices)]

    def get_classifier(self) -> nn.Module:
        """The linear head."""
        return self.head


def digits3d(pretrained: bool = True, num_classes: int = 10) -> Digits3DNet:
    """The classifier, with its bundled weights if it is `pretrained`.

    Raises:
        InputError: pretrained for another number of classes than ten; the weights are missing or damaged.
    """
    network = Digits3DNet(num_classes)
    if pretrained:
        bundled_weights(network, str(WEIGHTS))
    return network


def bundled_weights(network: Digits3DNet, file: str) -> None:
    """Load the weights that come with a network.

    Raises:
        InputError: it has another number of classes than they are for; they are missing or damaged.
    """
    name, classes = network.config["architecture"], len(network.config["label_names"])
    if network.num_classes != classes:
        raise InputError(f"{name} comes with {classes} classes, not {network.num_classes}: leave the number out")
    read_weight_file(file).load_into(network)
