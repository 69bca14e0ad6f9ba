"""What replaces the coefficients that a mask throws away: ``v = location + scale * noise``."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from amortex.core.layout import Coefficients
from amortex.core.masks import only_live
from amortex.core.noise_streams import Draw
from amortex.transforms.base import Transform

ValueRange = tuple[float, float]  # what signals are clipped to
UNIT_RANGE: ValueRange = (0.0, 1.0)  # of images and volumes


class Replacement(NamedTuple):
    """Distribution of the replacement ``v`` of each coefficient: location plus scale times unit noise.

    Both are flat over positions, ``(B, C or 1, k)``. `scale` is None where ``v`` is not random.
    """

    location: Tensor
    scale: Tensor | None

    def only_live(self, live: Tensor | None) -> "Replacement":
        """The same, but always zero where entries are not `live` ``(B, k)``: digital silence stays silent."""
        if live is None:
            return self
        scale = None if self.scale is None else only_live(self.scale, live[:, None])
        return Replacement(only_live(self.location, live[:, None]), scale)


class Obfuscation:
    """A strategy of obfuscation. Subclasses define `replacement`, random ones also `noise_` and `to_uniform`.

    Where its unit noise has another `variance` than one, it says so, and `variances` where draws differ in it.
    """

    variance: float = 1.0  # of unit noise, over all draws
    telling_draws: int = 1  # so many tell which of two masks is better; fewer may all be of one kind

    @property
    def name(self) -> str:
        """Its name in outputs."""
        return type(self).__name__.lower()

    def replacement(
        self,
        signal: Tensor,
        coefficients: Coefficients,
        transform: Transform,
        value_range: ValueRange = UNIT_RANGE,
        live: Tensor | None = None,
    ) -> Replacement:
        """The distribution that replaces the `coefficients` of a `signal` ``(B, C, *size)`` with values in a range.

        Statistics are over `live` entries ``(B, k)``, all where it is None. What it is for others makes no difference.
        """
        raise NotImplementedError

    def variances(self, noise: Sequence[Tensor]) -> Tensor | float:
        """The variance of each draw of unit noise, bands ``(B, 1, ...)`` -> ``(B,)``; or of all of them."""
        return self.variance

    def noise_(self, out: Tensor, generator: Draw) -> Tensor:
        """Fill `out`, one draw, in place with unit noise."""
        raise NotImplementedError(f"{type(self).__name__} is not random")

    def to_uniform(self, noise: Tensor) -> Tensor:
        """The quantiles of unit noise, scaled to [-1, 1]: uniform."""
        raise NotImplementedError(f"{type(self).__name__} is not random, or does not say how")


def group_moments(coefficients: Coefficients, live: Tensor | None = None) -> Replacement:
    """Mean and population standard deviation per image and group, channels and orientations pooled.

    CartoonX, eq. 5. Both are returned per entry, ``(B, 1, k)``. Complex coefficients: the complex mean, and the
    root of ``E |h - mean|^2``. Entries that are not `live` ``(B, k)`` are left out of them.
    """
    layout, flat = coefficients.layout, coefficients.flat
    membership = layout.membership

    with torch.autocast(flat.device.type, enabled=False):
        size = (membership.sum(0) if live is None else live.to(membership) @ membership).clamp(min=1)

        def mean(values: Tensor) -> Tensor:  # (B, C, k) -> (B, 1, k), constant within a group
            groups = only_live(values.mean(1), live) @ membership.to(values.dtype) / size
            return groups.index_select(1, layout.group)[:, None]

        location = mean(flat)
        return Replacement(location, mean((flat - location).abs().square()).sqrt())
