"""Toy waveforms, images and volumes, and classifiers of them: one, two and three axes."""

import torch
from torch import Tensor, nn

from amortex.classifiers.classifier import Classifier
from amortex.core.nd import CONVOLUTION_MODULES
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.base import Transform
from helpers.classifiers import build_classifier

POOLS = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
SIZES = {1: (2, 250), 2: (3, 32, 31), 3: (1, 13, 12, 16)}  # channels, then axes; odd ones among them
RANGES = {1: (-1.0, 1.0), 2: (0.0, 1.0), 3: (0.0, 1.0)}


def signal_classifier(dims: int, classes: int = 4) -> Classifier:
    """A ReLU network with feature maps in front of its linear head, on signals of `SIZES`."""
    channels, convolution = SIZES[dims][0], CONVOLUTION_MODULES[dims]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        net = nn.Sequential(
            convolution(channels, 8, 3, stride=2, padding=1), nn.ReLU(),
            convolution(8, 8, 3, stride=2, padding=1), nn.ReLU(), POOLS[dims](1), nn.Flatten(), nn.Linear(8, classes),
        )  # fmt: skip
        with torch.no_grad():
            net[-1].weight *= 10
    return build_classifier(net, SIZES[dims], f"toy of {dims} axes")


def signals(dims: int, count: int = 2) -> Tensor:
    """``(count, C, *size)``, smooth enough to have something at every scale."""
    low, high = RANGES[dims]
    noise = torch.rand(count, *SIZES[dims], generator=torch.Generator().manual_seed(dims))
    for axis in range(2, noise.ndim):
        noise = (noise + noise.roll(1, axis) + noise.roll(2, axis)) / 3
    return noise * (high - low) + low


def signal_pipeline(dims: int, transform: Transform) -> RateDistortion:
    """The pipeline of a toy classifier over a transform."""
    return RateDistortion(signal_classifier(dims), transform, value_range=RANGES[dims])


class PyramidNet(nn.Module):
    """A classifier of signals that shows its feature maps as networks of timm's do."""

    def __init__(self, dims: int, classes: int = 4) -> None:
        super().__init__()
        channels, convolution = SIZES[dims][0], CONVOLUTION_MODULES[dims]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(11)
            self.blocks = nn.ModuleList([
                nn.Sequential(convolution(channels, 6, 3, stride=2, padding=1), nn.Tanh()),
                nn.Sequential(convolution(6, 8, 3, stride=2, padding=1), nn.Tanh()),
            ])  # fmt: skip
            self.head = nn.Linear(8, classes)

    def get_classifier(self) -> nn.Linear:
        return self.head

    def forward_intermediates(self, x: Tensor, indices: list[int] | None = None) -> tuple[Tensor, list[Tensor]]:
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return x, maps if indices is None else [maps[index] for index in indices]

    def forward_head(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(2).mean(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_intermediates(x)[0])


class ToySound(nn.Module):
    """A classifier of sounds ``(B, 1, 800)`` by the energy of four filters."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.filters, self.head = nn.Conv1d(1, 4, 16, stride=4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(10 * self.filters(x).square().mean(2))


class ToyVolume(nn.Module):
    """A classifier of volumes ``(B, 1, 8, 8, 8)``, linear in the means of their octants."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.pool, self.head = nn.AdaptiveAvgPool3d(2), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(10 * self.pool(x).flatten(1))
