"""Replacement by something that is not random: zero, or a constant signal."""

import torch
from torch import Tensor

from amortex.core.layout import Coefficients
from amortex.obfuscations.base import UNIT_RANGE, Obfuscation, Replacement, ValueRange
from amortex.transforms.base import Transform


class Zero(Obfuscation):
    """``v = 0``: coefficients are removed."""

    def replacement(
        self,
        signal: Tensor,
        coefficients: Coefficients,
        transform: Transform,
        value_range: ValueRange = UNIT_RANGE,
        live: Tensor | None = None,
    ) -> Replacement:
        return Replacement(torch.zeros_like(coefficients.flat), None)


class Constant(Obfuscation):
    """``v = T(value)``: the coefficients of a signal that is `value` everywhere.

    Arguments:
        value: by default the middle of the range: mid-grey for images, silence for sound.
    """

    def __init__(self, value: float | None = None) -> None:
        self.value = value

    def replacement(
        self,
        signal: Tensor,
        coefficients: Coefficients,
        transform: Transform,
        value_range: ValueRange = UNIT_RANGE,
        live: Tensor | None = None,
    ) -> Replacement:
        value = sum(value_range) / 2 if self.value is None else self.value
        return Replacement(transform(torch.full_like(signal, value)).flat, None)
