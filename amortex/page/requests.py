"""What requests may ask for: values are checked here, and nowhere else."""

import base64
import binascii
import json
import math
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from amortex.core.catalog import check_name
from amortex.core.errors import InputError

Request = dict[str, Any]


def parse(body: bytes) -> Request:
    """The JSON object of a body; raises InputError for anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError("the request is not JSON") from error
    if not isinstance(value, dict):
        raise InputError("the request is no JSON object")
    return value


def number(request: Request, name: str, low: float, high: float, default: float | None = None) -> float | None:
    """A number in [low, high]; raises InputError for others."""
    value = request.get(name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name} must be a number")
    if not low <= value <= high:
        raise InputError(f"{name} must be {low:g} to {high:g}, not {value:g}")
    return value


def integer(request: Request, name: str, low: int, high: int, default: int | None = None) -> int | None:
    """A whole number in [low, high]; raises InputError for others."""
    value = number(request, name, low, high, default)
    if value is not None and value != int(value):
        raise InputError(f"{name} must be a whole number, not {value:g}")
    return None if value is None else int(value)


def choice(request: Request, name: str, known: Collection[str], default: str | None = None) -> str:
    """One of the known names; raises InputError for others."""
    value = request.get(name, default)
    if not isinstance(value, str) or len(value) > 200:
        raise InputError(f"{name} must be a text of at most 200 characters")
    return check_name(name, value, known)


def text(request: Request, name: str) -> str | None:
    """A text of a line, None where it is empty or missing; raises InputError for others."""
    value = request.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > 200):
        raise InputError(f"{name} must be a text of at most 200 characters")
    return None if value is None or not value.strip() else value.strip()


def drawn_mask(request: Request, size: tuple[int, ...]) -> Tensor:
    """The mask ``(1, *size)`` in [0, 1] that a request holds as bytes in base64; raises InputError for others."""
    encoded = request.get("mask")
    if not isinstance(encoded, str):
        raise InputError("mask must be bytes in base64")
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("mask is not base64") from error
    if len(content) != math.prod(size):
        raise InputError(f"a mask has {' x '.join(map(str, size))} bytes, not {len(content)}")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(1, *size).float() / 255
