"""Replacement by something that is not random: zero, or a constant image."""

import torch
from torch import Tensor

from amortex.core.layout import Coefficients
from amortex.obfuscations.base import Obfuscation, Replacement
from amortex.transforms.base import Transform


class Zero(Obfuscation):
    """``v = 0``: coefficients are removed."""

    def replacement(self, image: Tensor, coefficients: Coefficients, transform: Transform) -> Replacement:
        return Replacement(torch.zeros_like(coefficients.flat), None)


class Constant(Obfuscation):
    """``v = T(value)``: the coefficients of an image that is `value` everywhere (0.5 is mid-grey)."""

    def __init__(self, value: float = 0.5) -> None:
        self.value = value

    def replacement(self, image: Tensor, coefficients: Coefficients, transform: Transform) -> Replacement:
        return Replacement(transform(torch.full_like(image, self.value)).flat, None)
