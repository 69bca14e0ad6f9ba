"""How a network behaves on a few inputs: what its outputs are, and what would make its certificates doubtful."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from amortex.classifiers.activation import Kind, kind_of
from amortex.classifiers.outputs import ambiguous, compute_dtype, logits_of, outputs_of
from amortex.core.errors import InputError, first_line

ROUNDING = 1e-4  # of the largest output, in float32; of half floats `ROUNDED_BITS` units in the last place
ROUNDED_BITS = 8
REPETITIONS = 4  # passes that look for a difference where random numbers are drawn

RANDOM = "its outputs differ between two passes on one input: something in it stays random in evaluation mode"
BATCH = "its outputs for one input depend on the others of the batch: does a layer normalise by batch statistics?"

FROZEN = "it is frozen or quantised, or computes under no_grad"


class Behaviour(NamedTuple):
    """What a network does on an example."""

    outputs: Tensor  # (B, M)
    choice: str  # which of several things that it returns are taken for the outputs, if that is not clear
    kind: Kind  # logits; probabilities that sum to one; those of several labels; unknown where outputs are not finite
    caveats: tuple[str, ...]
    obstacle: str  # why no gradient reaches the input; empty where one does


@torch.no_grad()
def behaviour(model: nn.Module, example: Tensor) -> Behaviour:
    """How a network behaves on normalised inputs ``(B, C, *size)`` that differ: on one alone and on all together.

    Further passes are made only where the two differ, random numbers are drawn, or outputs may be probabilities.
    """
    rounding = max(ROUNDING, ROUNDED_BITS * torch.finfo(compute_dtype(model) or example.dtype).eps)
    with watched_generators() as draws:
        with torch.enable_grad():
            leaf = example[:1].clone().requires_grad_()
            returned = model(leaf.clone().to(compute_dtype(model)))  # which it may change in place
            alone = logits_of(returned, 1).to(example.dtype)
            why_not = obstacle(alone, leaf)
        alone = alone.detach()
        try:
            outputs = outputs_of(model, example)
        except RuntimeError as error:  # such as a trace, or a view, that has the number of inputs in it
            why = first_line(error)[:150]
            raise InputError(f"it takes a single input at a time, where batches are needed ({why})") from error
        caveats = []
        together = same(alone, outputs[:1], rounding)
        repetitions = REPETITIONS if draws() else 0 if together else 1
        if not all(same(outputs, outputs_of(model, example), rounding) for _ in range(repetitions)):
            caveats.append(RANDOM)
        elif not together:
            caveats.append(BATCH)
        kind = kind_of(model, example, outputs, rounding)
        return Behaviour(outputs, ambiguous(returned), kind, tuple(caveats), why_not)


def obstacle(outputs: Tensor, leaf: Tensor) -> str:
    """Why the gradient of outputs does not reach the input that they were computed of; empty where it does.

    Quantised layers claim to pass gradients on, and pass nothing.
    """
    if outputs.requires_grad:
        try:
            if torch.autograd.grad(outputs.sum(), leaf, allow_unused=True)[0] is not None:
                return ""
        except RuntimeError as error:  # such as reentrant checkpointing
            return first_line(error)[:150]
    return FROZEN


def examine(model: nn.Module, example: Tensor, name: str) -> Behaviour:
    """The `behaviour` of a network of that name.

    Raises:
        InputError: it does not map such inputs to logits.
    """
    try:
        return behaviour(model, example)
    except InputError as error:
        raise InputError(f"{name} is no classifier: {error}") from error
    except Exception as error:  # a network given the wrong size or channels can raise anything
        size, why = "x".join(map(str, example.shape[1:])), first_line(error)[:150]
        raise InputError(f"{name} cannot classify an input of size {size}: {why}") from error


def refuse_incomplete(model: nn.Module, name: str) -> None:
    """Raises InputError for a network without its head, or with layers that have no weights, or not yet."""
    if getattr(model, "num_classes", None) == 0:
        raise InputError(f"{name} has no head (its num_classes is 0): its outputs would be features, not classes")
    for path, module in model.named_modules():
        weights = (*module.parameters(recurse=False), *module.buffers(recurse=False))
        layer = f"{path} of {name}" if path else name
        if any(is_lazy(weight) for weight in weights):
            raise InputError(f"{layer} has no weights before its first input: pass one through the network")
        if any(weight.is_meta for weight in weights):
            raise InputError(f"{layer} has no weights (they are on the meta device): load them first")


def same(first: Tensor, second: Tensor, rounding: float) -> bool:
    """Whether outputs are equal but for rounding; those that are not numbers are equal to each other."""
    scale = float(second.nan_to_num(0, 0, 0).abs().amax())
    return torch.allclose(first, second, rtol=0, atol=rounding * scale, equal_nan=True)


@contextmanager
def watched_generators() -> Iterator[Callable[[], bool]]:
    """Within, a function that tells whether random numbers were drawn; afterwards the generators are as before."""
    states = (torch.get_rng_state(), random.getstate(), np.random.get_state())

    def drawn() -> bool:
        numpy_state: Any = np.random.get_state()
        return not (
            torch.equal(torch.get_rng_state(), states[0])
            and random.getstate() == states[1]
            and all(np.array_equal(now, before) for now, before in zip(numpy_state, states[2], strict=True))
        )

    try:
        yield drawn
    finally:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])
