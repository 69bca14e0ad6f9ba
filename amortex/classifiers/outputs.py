"""Logits from what networks return: a tensor, or a container of some."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from amortex.core.errors import InputError

LOGITS = "logits"  # what Hugging Face's classifiers, and torchvision's with auxiliary heads, call them


def outputs_of(model: nn.Module, x: Tensor) -> Tensor:
    """Outputs ``(B, M)`` of a network for ``(B, C, *size)``, in float32 at least.

    The network computes in its own floating-point type.

    Raises:
        InputError: there are none in what it returns.
    """
    outputs = logits_of(model(x.to(compute_dtype(model))), x.shape[0])  # not its length, which exporting would fix
    return outputs.to(torch.promote_types(x.dtype, torch.float32))


def compute_dtype(model: nn.Module) -> torch.dtype | None:
    """The floating-point type of a network's weights, which its inputs must have; None without any."""
    for values in (model.parameters(), model.buffers()):
        for value in values:
            if value.is_floating_point():
                return value.dtype
    return None


def logits_of(outputs: Any, count: int) -> Tensor:
    """The logits ``(B, M)`` in what a network returned for so many inputs.

    Of containers, the tensor that is called ``logits`` is taken, or the first of a tuple or list. Axes of length one
    may be more or fewer: ``(B, M, 1, 1)``, ``(B,)`` for a single logit, ``(M,)`` for a single input.

    Raises:
        InputError: there are no such logits. It says what there is instead.
    """
    key, logits = choose(outputs)
    if logits.ndim == 2 and logits.shape[0] == count:
        shaped = logits
    else:
        axes = [length for length in logits.shape if length != 1]
        leading = logits.shape[:1] == (count,) or (count == 1 and logits.ndim < 2)
        if not leading or len(axes) > (1 if count == 1 else 2):
            which = f" as {key}" if key else ""
            raise InputError(
                f"it returns {tuple(logits.shape)}{which} for {count} input{'s' if count > 1 else ''}, not logits "
                "(B, classes): wrap it in a module that reduces all other axes"
            )
        shaped = logits.reshape(count, -1)
    if not shaped.is_floating_point():
        raise InputError(f"it returns {str(shaped.dtype).removeprefix('torch.')} numbers, not logits")
    return shaped


def choose(outputs: Any) -> tuple[str, Tensor]:
    """The tensor of logits among the outputs of a network, and its name: empty for a tensor that is alone.

    Raises:
        InputError: there is none, or it is not clear which it is.
    """
    if isinstance(outputs, Tensor):
        return "", outputs
    tensors = {name: value for name, value in fields(outputs).items() if isinstance(value, Tensor)}
    if LOGITS in tensors:
        return LOGITS, tensors[LOGITS]
    if not tensors:
        raise InputError(f"it returns {type(outputs).__name__} without logits, not a tensor (B, classes)")
    if len(tensors) > 1 and not isinstance(outputs, tuple | list):
        raise InputError(f"it returns {', '.join(tensors)}, none called logits: wrap it in a module that returns one")
    return next(iter(tensors.items()))


def ambiguous(outputs: Any) -> str:
    """Which of several unnamed outputs is taken for the logits, as a sentence; empty where there is no choice."""
    if not isinstance(outputs, tuple | list) or LOGITS in fields(outputs):
        return ""
    shapes = [tuple(value.shape) for value in fields(outputs).values() if isinstance(value, Tensor)]
    if len(shapes) < 2:
        return ""
    return (
        f"it returns {len(shapes)} tensors, {', '.join(map(str, shapes))}: the first is taken for the logits; "
        "for another, wrap it in a module that returns it alone"
    )


def fields(outputs: Any) -> dict[str, Any]:
    """What a container of outputs holds, by name or by place."""
    if isinstance(outputs, Mapping):
        return {str(key): value for key, value in outputs.items()}
    if dataclasses.is_dataclass(outputs) and not isinstance(outputs, type):
        return {field.name: getattr(outputs, field.name) for field in dataclasses.fields(outputs)}
    if isinstance(outputs, tuple) and hasattr(outputs, "_asdict"):
        return dict(outputs._asdict())
    if isinstance(outputs, tuple | list):
        return {f"output {place}": value for place, value in enumerate(outputs)}
    return {}
