"""Gaussian noise of any loudness, the default for sound."""

import torch
from torch import Tensor

from amortex.core.layout import Coefficients
from amortex.core.noise_streams import Draw
from amortex.obfuscations.base import UNIT_RANGE, Replacement, ValueRange, group_moments
from amortex.obfuscations.gaussian import Gaussian
from amortex.transforms.base import Transform

RANGE = 60  # dB, from the faintest noise to the loudest
SILENT = 0.25  # share of the draws


class Fading(Gaussian):
    """``v ~ level N(0, E h^2)``: Gaussian noise of any loudness, group by group as loud as the signal at its loudest.

    The `level` is one per draw. A quarter of the draws are silent; the others are uniform in decibels, from -60 dB to
    0 dB. A mask that holds under it holds in faint and in loud noise, and alone: one can listen to what it keeps.
    """

    def replacement(
        self,
        signal: Tensor,
        coefficients: Coefficients,
        transform: Transform,
        value_range: ValueRange = UNIT_RANGE,
        live: Tensor | None = None,
    ) -> Replacement:
        mean, deviation = group_moments(coefficients, live)
        assert deviation is not None
        return Replacement(torch.zeros_like(mean), (deviation.square() + mean.abs().square()).sqrt())

    def noise_(self, out: Tensor, generator: torch.Generator) -> Tensor:
        assert isinstance(generator, Draw), "levels are spread over the draws of a stream"
        u = generator.place / (1 - SILENT)
        return super().noise_(out, generator).mul_(10 ** (-RANGE / 20 * u) if u < 1 else 0)

    def to_uniform(self, noise: Tensor) -> Tensor:
        """As the contract says, of ``(B, L, ...)``; the level of each draw is estimated by its own values."""
        level = noise.square().flatten(2).mean(2).sqrt().view(*noise.shape[:2], *[1] * (noise.ndim - 2))
        return super().to_uniform(noise / level.clamp(min=1e-9))
