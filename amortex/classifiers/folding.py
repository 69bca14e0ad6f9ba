"""Frozen batch normalisations, folded into the convolutions before them: the same function with fewer passes."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

TOLERANCE = 1e-4  # of the largest logit: beyond, the network does something with its layers that folding breaks


@torch.no_grad()
def fold_batch_norms(model: nn.Module, example: Tensor) -> nn.Module:
    """A copy of a network in evaluation mode without the batch normalisations that follow a convolution directly.

    Pairs are found by running `example` ``(B, C, H, W)`` through it. The copy's outputs are compared with the model's;
    where they differ by more than rounding, or nothing could be folded, the model itself is returned.
    """
    expected = model(example)
    try:
        folded = copy.deepcopy(model)
    except Exception:  # somebody's network may hold what cannot be copied
        return model
    pairs = _pairs(folded, example)
    names = {module: name for name, module in folded.named_modules()}
    for convolution, norm in pairs:
        _fold(convolution, norm)
        parent, _, child = names[norm].rpartition(".")
        # timm's normalisations carry their activation along
        setattr(folded.get_submodule(parent), child, getattr(norm, "act", nn.Identity()))
    try:
        same = bool((folded(example) - expected).abs().amax() <= TOLERANCE * expected.abs().amax())
    except Exception:  # a network that looks into its layers misses the one that is gone
        same = False
    return folded if pairs and same else model


def _pairs(model: nn.Module, example: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions and normalisations, each called once, the one's output the other's input."""
    made: dict[int, tuple[Tensor, nn.Conv2d]] = {}
    found: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    calls: dict[nn.Module, int] = {}

    def see(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls[module] = calls.get(module, 0) + 1
        if isinstance(module, nn.Conv2d):
            made[id(output)] = (output, module)  # the tensor is kept, so that its id stays its own
        elif id(inputs[0]) in made:
            found.append((made[id(inputs[0])][1], module))  # type: ignore[arg-type]

    kinds = (nn.Conv2d, nn.BatchNorm2d)
    hooks = [module.register_forward_hook(see) for module in model.modules() if isinstance(module, kinds)]
    try:
        model(example)
    finally:
        for hook in hooks:
            hook.remove()
    return [(c, n) for c, n in found if calls[c] == calls[n] == 1 and n.running_var is not None]


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_var is not None
    assert norm.running_mean is not None
    zeros = torch.zeros_like(norm.running_mean)
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    bias = (zeros if convolution.bias is None else convolution.bias).double()
    bias = (bias - norm.running_mean.double()) * scale + (zeros if norm.bias is None else norm.bias).double()
    weight = convolution.weight.double() * scale[:, None, None, None]
    convolution.weight = nn.Parameter(weight.to(convolution.weight), requires_grad=False)
    convolution.bias = nn.Parameter(bias.to(convolution.weight), requires_grad=False)
