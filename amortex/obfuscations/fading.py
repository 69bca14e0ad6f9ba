"""Gaussian noise of any loudness, the default for sound."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from amortex.core.layout import Coefficients
from amortex.core.noise_streams import Draw
from amortex.obfuscations.base import UNIT_RANGE, Replacement, ValueRange, group_moments
from amortex.obfuscations.gaussian import Gaussian
from amortex.transforms.base import Transform

RANGE = 60  # dB, from the faintest noise to the loudest
SILENT = 0.25  # share of the draws
SILENCE = 1e-7  # the level of these: inaudible, and not zero, since phases of silence are random, too


class Fading(Gaussian):
    """``v ~ level N(0, E h^2)``: Gaussian noise around silence, of any loudness up to that of the signal.

    ``E h^2`` is that of each group, the `level` one per draw for all groups. A quarter of the draws are silent; the
    others are uniform in decibels, from -60 dB to 0 dB. Distortion and retention are over this mixture, so a mask may
    lose the class in the loudest draws. One can listen to what it keeps, since that alone is in the mixture.
    """

    telling_draws = 4  # from silent to loud
    variance = (1 - SILENT) / (RANGE / 10 * math.log(10))  # of levels that are uniform in decibels; 1e-6 is left out

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

    def noise_(self, out: Tensor, generator: Draw) -> Tensor:
        place = generator.place / (1 - SILENT)
        return super().noise_(out, generator).mul_(10 ** (-RANGE / 20 * place) if place < 1 else SILENCE)

    def variances(self, noise: Sequence[Tensor]) -> Tensor:
        return torch.cat([band.abs().flatten(1) for band in noise], 1).square().mean(1)

    def to_uniform(self, noise: Tensor) -> Tensor:
        """As the contract says, of ``(B, L, ...)``; the level of each draw is estimated by its own values."""
        level = noise.square().flatten(2).mean(2).sqrt().view(*noise.shape[:2], *[1] * (noise.ndim - 2))
        return super().to_uniform(noise / level)
