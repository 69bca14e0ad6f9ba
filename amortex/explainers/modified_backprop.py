"""Backward passes that are not the gradient: guided backpropagation, and layer-wise relevance propagation."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from amortex.classifiers.classifier import Classifier
from amortex.core.errors import InputError

RELUS = (nn.ReLU, nn.ReLU6)
RELU_NODES = ("ReluBackward", "HardtanhBackward")
OTHER_ACTIVATIONS = ("SiLU", "GELU", "Hardswish", "Mish", "ELU", "SELU", "CELU", "PReLU", "Softplus", "LeakyReLU")
ADDITIONS = {torch.add, torch.Tensor.add, torch.Tensor.add_, torch.Tensor.__add__, torch.Tensor.__iadd__}


# operations that modules with a rule are made of, residual sums, and those that only move values
RULED = (*RELU_NODES, "ConvolutionBackward", "AddmmBackward", "MmBackward", "AddBackward", "NativeBatchNormBackward",
         "MkldnnConvolutionBackward", "MeanBackward",
         "AvgPool", "AdaptiveAvgPool", "MaxPool", "ViewBackward",
         "TBackward",
         "ReshapeAlias", "UnsafeView", "PermuteBackward", "TransposeBackward", "CloneBackward", "AliasBackward",
         "SqueezeBackward", "UnsqueezeBackward", "ExpandBackward", "ConstantPad", "AsStrided", "ToCopyBackward",
         "AccumulateGrad",
         "torch::autograd::AccumulateGrad")  # fmt: skip


def leaves(model: nn.Module) -> list[nn.Module]:
    """The modules without children."""
    return [module for module in model.modules() if not list(module.children())]


@contextmanager
def guided(classifier: Classifier) -> Iterator[None]:
    """Within, backward passes through ReLUs let only positive gradients pass (Springenberg et al. 2015).

    Raises:
        InputError: the network is no ReLU network, or calls a ReLU that is no module, which no hook would reach: the
            result would be the plain gradient under another name.
    """
    others = sorted({type(m).__name__ for m in leaves(classifier.model)} & set(OTHER_ACTIVATIONS))
    if others:
        raise InputError(f"guided backpropagation is defined for ReLU networks, and {classifier.name} has {others[0]}")
    calls = 0

    def pass_positive(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal calls
        calls += 1
        if output.requires_grad:
            output.register_hook(lambda gradient: gradient.clamp(min=0))

    hooks = [m.register_forward_hook(pass_positive) for m in leaves(classifier.model) if isinstance(m, RELUS)]
    try:
        with torch.enable_grad(), classifier.uncounted():
            probe = torch.full((1, *classifier.input_size), 0.5, device=classifier.mean.device).requires_grad_()
            relus = sum(node.name().startswith(RELU_NODES) for node in nodes(classifier(probe)))
        if relus != calls or not calls:
            raise InputError(
                f"guided backpropagation reaches {calls} ReLU modules of {classifier.name}, but it has {relus} ReLUs"
            )
        yield
    finally:
        for hook in hooks:
            hook.remove()


def nodes(output: Tensor) -> Iterator[Any]:
    """The nodes of the graph that made `output`."""
    todo, seen = [output.grad_fn], set()
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            todo += [following for following, _ in node.next_functions]


def is_scaling(node: Any) -> bool:
    """Whether a node of a graph multiplies or divides by a constant, which is linear."""
    differentiable = sum(following is not None for following, _ in node.next_functions)
    return node.name().startswith(("MulBackward", "DivBackward")) and differentiable == 1


class ShareOfSum(torch.autograd.Function):
    """``a + b``, whose backward pass gives each side its share of the sum: LRP's epsilon rule for residuals."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return a + b

    @staticmethod
    def backward(ctx: Any, relevance: Tensor) -> tuple[Tensor, Tensor]:
        a, b = ctx.saved_tensors
        total = a + b
        share = relevance / (total + torch.where(total >= 0, 1e-6, -1e-6))
        return a * share, b * share


class Residuals(TorchFunctionMode):
    """Within, sums of two tensors that need gradients are `ShareOfSum`: zennit sees modules alone, not a ``+``."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [a for a in args if isinstance(a, Tensor) and a.requires_grad]
        if function in ADDITIONS and len(args) == len(tensors) == 2 and args[0].shape == args[1].shape and not kwargs:
            return ShareOfSum.apply(*args)
        return function(*args, **(kwargs or {}))


def relevance_propagation(classifier: Classifier, image: Tensor, target: Tensor) -> Tensor:
    """LRP, ``(B, C, *size)``, signed: zennit's EpsilonPlusFlat (Bach et al. 2015; Montavon et al. 2019).

    Raises:
        InputError: a layer for which there is no rule, or zennit is missing.
    """
    try:
        from timm.layers.adaptive_avgmax_pool import FastAdaptiveAvgPool
        from zennit.composites import EpsilonPlusFlat
        from zennit.rules import Norm
        from zennit.types import Activation, AvgPool, Linear
    except ImportError as error:
        raise InputError("LRP needs zennit: pip install 'amortex[baselines]'") from error
    pools = (FastAdaptiveAvgPool,)
    known = (Activation, AvgPool, Linear, *pools, nn.Identity, nn.Flatten, nn.Dropout, nn.MaxPool2d)
    # zennit lets the gradient through where it knows no rule, which would not be LRP
    without_rule = sorted({type(m).__name__ for m in leaves(classifier.model) if not isinstance(m, known)})
    if without_rule:
        raise InputError(f"LRP has no rule for these layers of {classifier.name}: {', '.join(without_rule)}")
    with torch.enable_grad(), classifier.uncounted():
        made = classifier.forward_normalised(classifier.normalise(image[:1]).detach().requires_grad_())
    names = {node.name() for node in nodes(made) if not is_scaling(node)}
    unknown = sorted(name.rstrip("0123456789").removesuffix("Backward") for name in names if not name.startswith(RULED))
    if unknown:  # gates and functions that are no modules
        raise InputError(f"LRP has no rule for these operations of {classifier.name}: {', '.join(unknown)}")
    # without biases, which would keep nearly all relevance to themselves in a network of fifty layers
    composite = EpsilonPlusFlat(layer_map=[(pools, Norm())], zero_params=["bias"])
    with composite.context(classifier.model), torch.enable_grad():
        leaf = classifier.normalise(image).detach().requires_grad_()
        with Residuals():
            logits = classifier.forward_normalised(leaf)
        chosen = logits.gather(1, target[:, None])
        (relevance,) = torch.autograd.grad(chosen, leaf, grad_outputs=chosen.detach())
    return relevance


def last_maps(classifier: Classifier, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The last feature maps of more than one position, and the logit's gradient there, ``(B, D, *positions)`` each.

    Networks that see their input in parts have a method `place_maps`; their maps are ``(B parts, D, *positions)``.

    Raises:
        InputError: the network has no such maps in front of its head, as vision transformers have not.
    """
    logits, _, maps = _pass_to_last_maps(classifier, image)
    (gradient,) = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), maps)
    return maps.detach().to(logits.dtype), gradient.to(logits.dtype)


def last_layer(classifier: Classifier, image: Tensor) -> nn.Module:
    """The module that makes the `last_maps`; raises as that does."""
    return _pass_to_last_maps(classifier, image)[1]


def _pass_to_last_maps(classifier: Classifier, image: Tensor) -> tuple[Tensor, nn.Module, Tensor]:
    """Logits, the module that makes the last feature maps, and these."""
    made: list[Any] = []
    whole = not hasattr(classifier.model, "place_maps")

    def is_map(output: Any) -> bool:
        if not isinstance(output, Tensor) or output.ndim < 3 or output.shape[2:].numel() < 2:
            return False
        return not whole or (output.ndim == image.ndim and len(output) == len(image))

    def see(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        tokens = isinstance(module, nn.Linear) or type(module) is nn.LayerNorm
        if tokens and inputs[0].ndim > 2:
            made.append(None)  # or channels last: no maps (B, D, h, w), and what is spatial comes before
        elif is_map(output):
            made.append((module, output))

    hooks = [module.register_forward_hook(see) for module in leaves(classifier.model)]
    try:
        with torch.enable_grad():
            logits = classifier(image.detach().requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    if not made or made[-1] is None:
        raise InputError(f"Grad-CAM needs feature maps in front of the head, which {classifier.name} has not")
    return logits, *made[-1]
