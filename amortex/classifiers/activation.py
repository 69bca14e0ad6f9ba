"""What the outputs of a network are, and what makes probabilities of them."""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from amortex.classifiers.default import Activation
from amortex.classifiers.outputs import outputs_of

Kind = Literal["logits", "probabilities", "labels", "unknown"]

FAR_OUT = (-100.0, -10.0, 10.0, 100.0)  # times the usual inputs: logits leave [0, 1] there, probabilities do not
MOST_MISSING = 1e-2  # of a sum of one, however coarse the network's floating-point type is
AFFINE = ("AddmmBackward", "MmBackward", "BmmBackward", "ConvolutionBackward", "LinearBackward")
MOVING = ("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Permute", "Transpose", "Slice", "Select",
          "Alias", "Clone", "ToCopy")  # fmt: skip

# caveats of an activation that was asked for
NOT_RAW = "its outputs seem to be probabilities already, and {} is applied to them"
RAW = "its outputs are taken for probabilities as they are, and seem to be logits"
# what outputs are taken for where nothing was asked for, and what to do where that is wrong
ONE_LOGIT = (
    "it has one output, taken for the logit of the second of two classes; where it is none, such as in a regression, "
    "wrap the network in a module that returns logits"
)
IF_LOGITS = "if they are logits, give the activation softmax or sigmoid"
ONE_PROBABILITY = f"its single outputs are in [0, 1], taken for probabilities of the second of two classes; {IF_LOGITS}"
TAKEN_FOR: dict[Kind, str] = {
    "probabilities": "its outputs are in [0, 1] and sum to one: taken for probabilities of classes; " + IF_LOGITS + "; "
    "if they are of several labels at once, wrap the network in a module that returns logits, and give sigmoid",
    "labels": "its outputs are in [0, 1] and do not sum to one: taken for probabilities of several labels at once; "
    + IF_LOGITS + "; if they are of classes, wrap the network in a module that returns logits, and give softmax",
}  # fmt: skip


class Choice(NamedTuple):
    """How the outputs of a network become probabilities."""

    activation: Activation  # not auto
    multi_label: bool
    notice: str  # what they are taken for, where that is not one logit per class and was not asked for
    caveats: tuple[str, ...]  # what speaks against the activation that was asked for


def choose_activation(kind: Kind, binary: bool, activation: Activation) -> Choice:
    """The activation that was asked for, or the one that suits outputs of that kind; `binary` ones are single."""
    ready, notice = kind in TAKEN_FOR, ""
    caveats: tuple[str, ...] = ()
    if activation == "auto":
        activation = "none" if ready else "softmax"
        notice = (ONE_PROBABILITY if ready else ONE_LOGIT) if binary else TAKEN_FOR.get(kind, "")
    elif activation != "none" and ready:
        caveats = (NOT_RAW.format(activation),)
    elif activation == "none" and kind == "logits":
        caveats = (RAW,)
    several = activation == "sigmoid" or (activation == "none" and kind == "labels")
    return Choice(activation, several and not binary, notice, caveats)


def kind_of(model: nn.Module, example: Tensor, outputs: Tensor, rounding: float) -> Kind:
    """What the outputs ``(B, M)`` of a network for an example are.

    A few outputs are in [0, 1], or sum to one, by chance. So the network also answers inputs that lie farther out, and
    one that ends in a linear layer returns logits whatever they are.
    """
    finite = outputs[outputs.isfinite().all(1)]
    if not len(finite):
        return "unknown"
    if not in_unit_interval(finite, rounding):
        return "logits"
    with torch.enable_grad():
        try:
            far = outputs_of(model, torch.cat([factor * example for factor in FAR_OUT]).requires_grad_())
        except Exception:  # a network may refuse such inputs
            far = outputs
    everywhere = torch.cat([far[far.isfinite().all(1)], finite])
    constant = bool((everywhere == everywhere[0]).all())
    if constant or ends_affine(far.grad_fn) or not in_unit_interval(everywhere, rounding):
        return "logits"
    missing = (everywhere.sum(1) - 1).abs().amax()
    return "probabilities" if outputs.shape[1] > 1 and missing <= min(rounding, MOST_MISSING) else "labels"


def in_unit_interval(outputs: Tensor, rounding: float) -> bool:
    """Whether outputs are in [0, 1] but for rounding."""
    return bool(((outputs >= -rounding) & (outputs <= 1 + rounding)).all())


def ends_affine(node: Any) -> bool:
    """Whether the last operation of a graph, but for those that only move values, is a linear layer."""
    while node is not None and node.name().startswith(MOVING):
        node = node.next_functions[0][0]
    return node is not None and node.name().startswith(AFFINE)
