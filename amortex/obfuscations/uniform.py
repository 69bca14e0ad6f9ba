"""Uniform noise with the image's own statistics."""

from torch import Tensor

from amortex.core.layout import Coefficients
from amortex.core.noise_streams import Draw
from amortex.obfuscations.base import UNIT_RANGE, Obfuscation, Replacement, ValueRange, group_moments
from amortex.transforms.base import Transform


class Uniform(Obfuscation):
    """``v`` uniform on ``mean +- sigma`` of the image's own coefficients, group by group.

    For complex coefficients: uniform on the square around the mean, real and imaginary part within
    ``+- sigma / sqrt(2)``.
    """

    variance = 1 / 3

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
        return out.uniform_(-1, 1, generator=generator)

    def to_uniform(self, noise: Tensor) -> Tensor:
        return noise
