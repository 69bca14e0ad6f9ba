"""What replaces the coefficients that a mask throws away: ``v = location + scale * noise``."""

from typing import NamedTuple

import torch
from torch import Tensor

from amortex.core.layout import Coefficients
from amortex.transforms.base import Transform

ValueRange = tuple[float, float]  # what signals are clipped to
UNIT_RANGE: ValueRange = (0.0, 1.0)  # of images and volumes


class Replacement(NamedTuple):
    """Distribution of the replacement ``v`` of each coefficient: location plus scale times unit noise.

    Both are flat over positions, ``(B, C or 1, k)``. `scale` is None where ``v`` is not random.
    """

    location: Tensor
    scale: Tensor | None


class Obfuscation:
    """A strategy of obfuscation. Subclasses define `replacement`, random ones also `noise_`."""

    @property
    def name(self) -> str:
        """Its name in outputs."""
        return type(self).__name__.lower()

    def replacement(
        self, signal: Tensor, coefficients: Coefficients, transform: Transform, value_range: ValueRange = UNIT_RANGE
    ) -> Replacement:
        """The distribution that replaces the `coefficients` of a `signal` ``(B, C, *size)`` with values in a range."""
        raise NotImplementedError

    def noise_(self, out: Tensor, generator: torch.Generator) -> Tensor:
        """Fill `out` in place with unit noise."""
        raise NotImplementedError(f"{type(self).__name__} is not random")


def group_moments(coefficients: Coefficients) -> Replacement:
    """Mean and population standard deviation per image and group, channels and orientations pooled.

    CartoonX, eq. 5. Both are returned per entry, ``(B, 1, k)``. Complex coefficients: the complex mean, and the
    root of ``E |h - mean|^2``.
    """
    layout, flat = coefficients.layout, coefficients.flat
    membership = layout.membership
    size = membership.sum(0).clamp(min=1)

    def mean(values: Tensor) -> Tensor:  # (B, C, k) -> (B, 1, k), constant within a group
        groups = values.mean(1) @ membership.to(values.dtype) / size
        return groups.index_select(1, layout.group)[:, None]

    with torch.autocast(flat.device.type, enabled=False):
        location = mean(flat)
        return Replacement(location, mean((flat - location).abs().square()).sqrt())
