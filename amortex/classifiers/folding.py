"""Frozen batch normalisations, folded into the convolutions before them: the same function in fewer passes."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from amortex.classifiers.copying import DetachedCopies
from amortex.classifiers.outputs import choose
from amortex.core.nd import expand_dims

TOLERANCE = 1e-4  # of the largest logit: a larger change means that the network uses its layers in another way
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)  # transposed ones, whose weights are laid out otherwise, are none
NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Normalisation = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


@torch.no_grad()
def fold_batch_norms(model: nn.Module, example: Tensor) -> nn.Module:
    """A copy of a network in evaluation mode without the batch normalisations that directly follow a convolution.

    Running `example` ``(B, C, *size)`` through the network finds the pairs. The model itself is returned if there are
    none, or if the outputs of the copy differ by more than rounding.
    """
    if not all(any(isinstance(module, kind) for module in model.modules()) for kind in (CONVOLUTIONS, NORMALISATIONS)):
        return model
    pairs, expected = _pairs(model, example)
    if not pairs:
        return model
    try:
        with DetachedCopies():
            folded = copy.deepcopy(model)
    except Exception:  # a network may hold what cannot be copied
        return model
    layers: dict[str, Any] = dict(folded.named_modules())
    for convolution, norm in pairs:
        _fold(layers[convolution], layers[norm])
        parent, _, child = norm.rpartition(".")
        # timm's normalisations contain their activation, which stays
        setattr(layers[parent], child, getattr(layers[norm], "act", nn.Identity()))
    try:
        same = bool((choose(folded(example))[1] - expected).abs().amax() <= TOLERANCE * expected.abs().amax())
    except Exception:  # a network that reads properties of its layers misses the one that is gone
        same = False
    return folded if same else model


def _pairs(model: nn.Module, example: Tensor) -> tuple[list[tuple[str, str]], Tensor]:
    """Names of convolutions and normalisations, each called once, where the one's output is the other's input.

    Returns:
        The pairs, and the outputs for `example`.
    """
    outputs: dict[int, tuple[Tensor, Convolution]] = {}
    pairs: list[tuple[Convolution, Normalisation]] = []
    calls: dict[nn.Module, int] = {}

    def record(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls[module] = calls.get(module, 0) + 1
        if isinstance(module, CONVOLUTIONS):
            outputs[id(output)] = (output, module)  # with the tensor, so that no later one gets its id
        elif isinstance(module, NORMALISATIONS) and id(inputs[0]) in outputs:
            pairs.append((outputs[id(inputs[0])][1], module))

    layers = [module for module in model.modules() if isinstance(module, (*CONVOLUTIONS, *NORMALISATIONS))]
    hooks = [module.register_forward_hook(record) for module in layers]
    try:
        logits = choose(model(example))[1]
    finally:
        for hook in hooks:
            hook.remove()
    names = {module: name for name, module in model.named_modules()}
    once = [(conv, norm) for conv, norm in pairs if calls[conv] == calls[norm] == 1 and norm.running_var is not None]
    return [(names[conv], names[norm]) for conv, norm in once], logits


def _fold(convolution: Convolution, norm: Normalisation) -> None:
    """Scale and shift the outputs of a convolution, in place, as its normalisation does."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    zeros = torch.zeros_like(norm.running_mean)
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    bias = (zeros if convolution.bias is None else convolution.bias).double()
    bias = (bias - norm.running_mean.double()) * scale + (zeros if norm.bias is None else norm.bias).double()
    weight = convolution.weight.double() * expand_dims(scale, convolution.weight.ndim - 1)
    convolution.weight = nn.Parameter(weight.to(convolution.weight), requires_grad=False)
    convolution.bias = nn.Parameter(bias.to(convolution.weight), requires_grad=False)
