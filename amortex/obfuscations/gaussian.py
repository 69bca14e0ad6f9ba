"""Adaptive Gaussian noise, the papers' default."""

import torch
from torch import Tensor

from amortex.core.layout import Coefficients
from amortex.core.noise_streams import Draw, normal
from amortex.obfuscations.base import UNIT_RANGE, Obfuscation, Replacement, ValueRange, group_moments
from amortex.transforms.base import Transform


class Gaussian(Obfuscation):
    """``v ~ N(mean, variance)`` of the image's own coefficients, group by group (CartoonX, eq. 5).

    For complex coefficients the noise is circular with the same variance ``E |h - mean|^2``.
    """

    def replacement(
        self,
        signal: Tensor,
        coefficients: Coefficients,
        transform: Transform,
        value_range: ValueRange = UNIT_RANGE,
        live: Tensor | None = None,
    ) -> Replacement:
        return group_moments(coefficients, live)

    def noise_(self, out: Tensor, generator: Draw) -> Tensor:
        return normal(out, generator)

    def to_uniform(self, noise: Tensor) -> Tensor:
        return torch.erf(noise / 2**0.5)
