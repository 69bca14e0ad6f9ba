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
