"""Classifiers of single pixels, whose outputs under noise are known."""

import torch
from torch import Tensor, nn

from amortex.classifiers.classifier import Classifier
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.pixel import Pixel

CONFIG = {"input_size": (1, 4, 4), "mean": (0.0,), "std": (1.0,)}


class FirstPixel(nn.Module):
    """Two classes: whether the first pixel is above a threshold; or logits that other functions make of it."""

    def __init__(self, logits=lambda pixel: 20 * (pixel - 0.5)) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: Tensor) -> Tensor:
        pixel = self.logits(x.flatten(1)[:, :1])
        return torch.cat([-pixel, pixel], 1)


def standardised(count: int, mean: float = 0.5, deviation: float = 0.12) -> Tensor:
    """Images ``(count, 1, 4, 4)`` of exactly this mean and standard deviation."""
    values = torch.rand(count, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = (values - values.mean(1, keepdim=True)) / values.std(1, keepdim=True, correction=0)
    return (mean + deviation * values).float().reshape(count, 1, 4, 4)


def pipeline(logits=None, obfuscation=None, **options) -> RateDistortion:
    net = FirstPixel() if logits is None else FirstPixel(logits)
    return RateDistortion(Classifier(net, CONFIG, "first pixel", **options), Pixel(), obfuscation)


class TwoLabels(nn.Module):
    """Two labels at once: whether each of the first two pixels is bright."""

    def forward(self, x: Tensor) -> Tensor:
        return 20 * (x.flatten(1)[:, :2] - 0.6)
