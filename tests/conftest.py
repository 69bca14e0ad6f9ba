"""Tiny classifiers and images that all tests share; the classifiers are frozen, so one of each is enough."""

import pytest
import torch
from torch import nn

from amortex.classifiers.classifier import Classifier


def build_classifier(model: nn.Module, size: tuple[int, int, int], name: str) -> Classifier:
    config = {"input_size": size, "mean": (0.5,), "std": (0.5,), "interpolation": "bicubic", "crop_pct": 0.875}
    return Classifier(model, {**config, "crop_mode": "center"}, name, weights="random")


def smooth_net(classes: int, seed: int) -> nn.Module:
    """A small convolutional net without kinks, with logits some units apart."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Tanh(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.Tanh(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, classes),
        )  # fmt: skip
        with torch.no_grad():
            net[-1].weight *= 20
    return net


@pytest.fixture(scope="session")
def tiny_classifier() -> Classifier:
    """float32, 3x32x32, 5 classes."""
    return build_classifier(smooth_net(5, seed=0), (3, 32, 32), "tiny")


def relu_net(classes: int, seed: int) -> nn.Module:
    """A small convolutional net with ReLU modules and feature maps in front of its linear head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
        )  # fmt: skip


@pytest.fixture(scope="session")
def relu_classifier() -> Classifier:
    """float32, 3x32x32, 5 classes; one that every baseline is defined for."""
    return build_classifier(relu_net(5, seed=5), (3, 32, 32), "relu")


@pytest.fixture(scope="session")
def smooth_classifier() -> Classifier:
    """float64, 3x16x16, 4 classes: for exact comparisons."""
    return build_classifier(smooth_net(4, seed=1), (3, 16, 16), "smooth").double()


@pytest.fixture(scope="session")
def linear_classifier() -> Classifier:
    """float64, 3x16x16, 3 classes; logits are linear in the pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    return build_classifier(net, (3, 16, 16), "linear").double()


@pytest.fixture
def images() -> torch.Tensor:
    """``(3, 3, 32, 32)`` float32 in [0, 1]."""
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def images64() -> torch.Tensor:
    """``(4, 3, 16, 16)`` float64 in [0, 1]."""
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
