"""Noise on many draws at once: memory layout, and a sum whose backward pass makes no copy per draw."""

from math import prod
from typing import Any

import torch
from torch import Tensor

from amortex.core.layout import Layout
from amortex.core.noise_streams import Fill, NoiseStreams


class AddNoise(torch.autograd.Function):
    """``signal + spread * noise`` for twice ``(B, 1, C, ...)`` and ``(B, L, C, ...)``, without a copy per draw."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, spread: Tensor, noise: Tensor) -> Tensor:
        ctx.save_for_backward(noise)
        return signal + spread * noise if noise.is_complex() else torch.addcmul(signal, spread, noise)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (noise,) = ctx.saved_tensors
        if noise.is_complex():
            return gradient.sum(1, keepdim=True), (gradient * noise.conj()).real.sum(1, keepdim=True), None
        total, product = torch.zeros_like(gradient[:, :1]), torch.zeros_like(gradient[:, :1])
        sums = total[:, 0], product[:, 0]
        # draw by draw: the two sums stay in the cache, and no product as large as all the noise is written
        for draw, unit in zip(gradient.unbind(1), noise.unbind(1), strict=True):
            sums[0].add_(draw)
            sums[1].addcmul_(draw, unit)
        return total, product, None


def positions_outermost(band: Tensor, spatial: int) -> Tensor:
    """The same ``(B, L, C, ..., *spatial)`` with the spatial axes outermost in memory, as convolutions want them."""
    inner = range(2, band.ndim - spatial)
    outer = range(band.ndim - spatial, band.ndim)
    order = (0, 1, *outer, *inner)
    inverse = sorted(range(band.ndim), key=order.__getitem__)
    return band.permute(order).contiguous().permute(inverse)


def unit_noise(
    fill: Fill, layout: Layout, channels: int, streams: NoiseStreams, signals: slice, samples: int, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """Unit noise per band, ``(B, samples, C, *positions)``, for some of the `streams`."""
    parts = 2 if layout.is_complex else 1
    flat = streams.fill(fill, signals, samples, (channels * layout.k * parts,), dtype)
    if layout.is_complex:  # variance one in all, half of it in each part
        flat = torch.view_as_complex(flat.unflatten(-1, (-1, 2))) / 2**0.5
    # each band in the memory order of `positions_outermost`: positions, channels, orientations
    bands, last = [], range(-len(layout.size), 0)
    for part, band in zip(
        flat.split([channels * prod(b.shape) for b in layout.bands], dim=-1), layout.bands, strict=True
    ):
        inner, positions = band.shape[: last[0]], band.shape[last[0] :]
        part = part.unflatten(-1, (*positions, channels, *inner))
        bands.append(part.movedim(tuple(range(2, 2 + len(last))), tuple(last)))
    return tuple(bands)


def mix_band(
    h: Tensor, mask: Tensor, location: Tensor, scale: Tensor | None = None, noise: Tensor | None = None, dims: int = 2
) -> Tensor:
    """``s h + (1 - s) (location + scale noise)`` of one band: ``(B, L, C, *positions)``.

    Coefficients h are ``(B, C, *positions)``, masks s ``(B, 1, *positions)``, unit noise ``(B, L, C, *positions)``. The
    last `dims` axes of the positions are spatial.
    """
    mean = location + mask * (h - location) if h.is_complex() else torch.addcmul(location, mask, h - location)
    mean = mean[:, None]
    if noise is None or scale is None:
        return mean
    # (1 - s) sigma is small, the noise is large: one fused pass over it
    spread = ((1 - mask) * scale)[:, None]
    spread = spread.expand(mean.shape).to(mean.real.dtype)  # in full: contiguous for the pass over it
    mixed: Tensor = AddNoise.apply(positions_outermost(mean, dims), positions_outermost(spread, dims), noise)
    return mixed
