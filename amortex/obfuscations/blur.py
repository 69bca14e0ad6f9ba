"""Replacement by a blurred copy of the signal."""

import torch
from torch import Tensor
from torch.nn import functional as F

from amortex.core.layout import Coefficients
from amortex.obfuscations.base import UNIT_RANGE, Obfuscation, Replacement, ValueRange
from amortex.transforms.base import Transform


class Blur(Obfuscation):
    """``v = T(blurred x)``: a Gaussian blur whose standard deviation is `fraction` of the signal's shortest side."""

    def __init__(self, fraction: float = 0.05) -> None:
        self.fraction = fraction

    def replacement(
        self,
        signal: Tensor,
        coefficients: Coefficients,
        transform: Transform,
        value_range: ValueRange = UNIT_RANGE,
        live: Tensor | None = None,
    ) -> Replacement:
        shortest = min(signal.shape[2:])
        sigma = max(self.fraction * shortest, 0.1)
        reach = min(round(3 * sigma), shortest - 1)  # a reflected border cannot be longer than the signal
        return Replacement(transform(gaussian_blur(signal, sigma, reach)).flat, None)


def gaussian_blur(signal: Tensor, sigma: float, reach: int) -> Tensor:
    """Gaussian blur along every spatial axis of ``(B, C, *size)``, cut off at `reach`; borders are reflected."""
    taps = torch.arange(-reach, reach + 1, dtype=signal.dtype, device=signal.device)
    taps = (-0.5 * (taps / sigma).square()).exp()
    taps = taps / taps.sum()
    for axis in range(2, signal.ndim):
        rows = signal.movedim(axis, -1)
        padded = F.pad(rows.reshape(-1, 1, rows.shape[-1]), (reach, reach), mode="reflect")
        signal = F.conv1d(padded, taps[None, None]).reshape(rows.shape).movedim(-1, axis)
    return signal
