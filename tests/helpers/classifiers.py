"""Small classifiers that are built in the process of the test."""

import torch
from torch import nn

from amortex.classifiers.classifier import Classifier
from amortex.classifiers.default import Activation


def build_classifier(model: nn.Module, size: tuple[int, ...], name: str, activation: Activation = "auto") -> Classifier:
    config = {"input_size": size, "mean": (0.5,), "std": (0.5,), "interpolation": "bicubic", "crop_pct": 0.875}
    return Classifier(model, {**config, "crop_mode": "center"}, name, weights="random", activation=activation)


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


def relu_net(classes: int, seed: int) -> nn.Module:
    """A small convolutional net with ReLU modules and feature maps in front of its linear head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
        )  # fmt: skip
