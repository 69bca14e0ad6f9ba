"""Magnitudes and phases of the Fourier transform: masks over a representation that is not linear."""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from amortex.core.layout import Band, Coefficients, Layout
from amortex.transforms.fourier import Fourier


class Polar(Fourier):
    """``|rfft|`` and ``arg(rfft)`` (orthonormal, over all spatial axes), two mask entries per complex coefficient.

    Is magnitude or phase more important? The groups are those of `Fourier`, once for magnitudes, once for phases in
    ``(-pi, pi]``. The replacement of a magnitude is that of the obfuscation; the inverse cuts what is mixed at zero. A
    random replacement of a phase is uniform on the circle, whatever the obfuscation; a fixed one is the
    obfuscation's. A mask value in between goes from the replacement to the phase the shorter way round.

    The coefficients that are their own conjugates (frequency zero, and Nyquist on even axes) are real: their phase is 0
    or pi, and so is its random replacement, with equal odds.

    References:
        Kolek et al., Cartoon Explanations of Image Classifiers, ECCV 2022, section 4.1; Heiß et al. 2020.

    >>> Polar()(torch.rand(2, 3, 8, 8)).layout.k
    80
    """

    linear = False

    def layout(self, size: tuple[int, ...], device: torch.device | None = None) -> Layout:
        return _layout(super().layout(size, device))

    def forward(self, x: Tensor) -> Coefficients:
        (spectrum,), layout = super().forward(x).bands, self.layout(tuple(x.shape[2:]), x.device)
        phase = spectrum.angle()
        phase = torch.where(phase == -math.pi, math.pi, phase)  # of negative numbers minus i times zero
        real = own_conjugates(layout.size, x.device)
        phase = torch.where(real, math.pi * (spectrum.real < 0).to(phase), phase)
        return Coefficients((spectrum.abs(), phase), layout)

    def inverse(self, coefficients: Coefficients) -> Tensor:
        magnitude, phase = coefficients.bands
        return self._image(torch.polar(magnitude.clamp(min=0), phase), coefficients.layout.size)

    def adapt(self, location: Tensor, scale: Tensor | None, coefficients: Coefficients) -> tuple[Tensor, Tensor | None]:
        """The replacement of phases as their own place plus a difference, which is what the mask then scales."""
        own, half = coefficients.flat, coefficients.layout.k // 2
        location = location.expand_as(own).clone()
        if scale is None:
            turn = location[..., half:] - own[..., half:]
            location[..., half:] = own[..., half:] + torch.atan2(turn.sin(), turn.cos())
            return location, None
        location[..., half:] = own[..., half:]
        scale = scale.clone()
        scale[..., half:] = math.pi
        return location, scale

    def shape_noise(
        self, noise: tuple[Tensor, ...], layout: Layout, to_uniform: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, ...]:
        magnitude, phase = noise
        turns, real = to_uniform(phase), own_conjugates(layout.size, phase.device)
        return magnitude, torch.where(real, turns.round(), turns)

    def spatial_map(self, relevance: Tensor, coefficients: Coefficients) -> Tensor:
        """As of `Fourier`, of the sum of the relevance of magnitude and phase."""
        magnitude, phase = coefficients.bands
        weight = sum(coefficients.layout.split(relevance[:, None]))
        return self._image(torch.polar(magnitude * weight, phase), coefficients.layout.size).abs().sum(1)


def own_conjugates(size: tuple[int, ...], device: torch.device | None = None) -> Tensor:
    """Which coefficients of `rfftn` are real whatever the signal, ``(*positions)`` bool: ``-f = f`` on every axis."""
    real = torch.ones((), dtype=torch.bool, device=device)
    for axis, length in enumerate(size):
        last = axis == len(size) - 1
        index = torch.arange(length // 2 + 1 if last else length, device=device)
        real = real[..., None] & (2 * index % length == 0)
    return real


@lru_cache(maxsize=16)
def _layout(fourier: Layout) -> Layout:
    """The layout of magnitudes and phases from that of complex coefficients."""
    shape, count = fourier.bands[0].shape, len(fourier.groups)
    groups = tuple(f"{part} {group}" for part in ("magnitude", "phase") for group in fourier.groups)
    return Layout(
        (Band("magnitude", shape), Band("phase", shape)), fourier.size, groups,
        torch.cat([fourier.group, fourier.group + count]), fourier.level.repeat(2), fourier.orientation.repeat(2),
    )  # fmt: skip
