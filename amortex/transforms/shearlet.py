"""A tight frame of shearlets of images: scales and directions, sampled as coarsely as each band allows."""

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.layout import Band, Coefficients, Layout
from amortex.core.nd import expand_dims
from amortex.transforms.base import Transform
from amortex.transforms.shearlet_frame import EDGES, shearlet_frame

COARSEST_SIDE = 5  # of images with one level: on smaller ones windows of some directions hardly see a frequency


class Shearlet(Transform):
    """Band-limited, cone-adapted shearlets (Meyer windows in frequency); more coefficients than pixels.

    Bands are ``low (rows, columns)`` and, for each level, ``levelJ_horizontal`` and ``levelJ_vertical``
    ``(orientations, rows, columns)`` for edges that are closer to one or the other. Level 1 is the finest: frequencies
    above half of Nyquist, as in `Fourier`. A level has 8 directions at the coarsest scale; their number doubles with
    every second level (parabolic scaling). Orientations turn steadily: horizontal edges are in the middle of the first
    half, vertical edges in the middle of the second.

    A coefficient is the image, filtered by its window, at one point of a regular grid. The grid is just dense enough
    for the window, so there are 5 to 6 coefficients per pixel; the undecimated transform, of which these are samples,
    has as many per pixel as there are windows.

    The frame is tight: the transform keeps the energy, and its adjoint is its inverse. Not every set of coefficients is
    the transform of an image: ``forward(inverse(c))`` is the orthogonal projection of c to those that are, and noise on
    all coefficients has only the share ``pixels / k`` of its energy in the image. Images go on periodically.

    Arguments:
        levels: number of levels J.

    Raises:
        InputError: `levels` < 1; (on use) signals that are no images, or sides below ``5 * 2**(levels - 1)``.

    References:
        Guo and Labate 2007; Häuser and Steidl, Fast Finite Shearlet Transform, 2014; Kutyniok, Lim and Reisenhofer,
        ShearLab 3D, ACM TOMS 2016 (directions per scale). Sampling by wrapping: Candès et al., Fast Discrete Curvelet
        Transforms, 2006. Explanations in shearlets: Kolek et al., CVPR 2023.

    >>> Shearlet(4)(torch.rand(2, 3, 64, 64)).bands[1].shape
    torch.Size([2, 3, 8, 72, 16])
    """

    def __init__(self, levels: int = 4) -> None:
        super().__init__()
        if levels < 1:
            raise InputError(f"a shearlet transform needs at least one level, not {levels}")
        self.levels = levels

    def layout(self, size: tuple[int, ...], device: torch.device | None = None) -> Layout:
        if len(size) != 2:
            raise InputError(f"shearlets are of images, not of signals with {len(size)} axes: use wavelets")
        most = (min(size) // COARSEST_SIDE).bit_length()
        if self.levels > most:
            remedy = f"at most {most} levels, or " if most > 0 else ""
            raise InputError(
                f"shearlets on {self.levels} levels need sides of at least {COARSEST_SIDE << self.levels - 1} pixels, "
                f"not {min(size)}: use {remedy}larger inputs"
            )
        return _layout(tuple(size), self.levels, device)

    def forward(self, x: Tensor) -> Coefficients:
        layout = self.layout(tuple(x.shape[2:]), x.device)
        bands = Analysis.apply(_frame(layout.size, self.levels, x.device, x.dtype), x)
        return Coefficients((bands[0].squeeze(2), *bands[1:]), layout)

    def inverse(self, coefficients: Coefficients) -> Tensor:
        low, *details = coefficients.bands
        frame = _frame(coefficients.layout.size, self.levels, low.device, low.dtype)
        image: Tensor = Synthesis.apply(frame, low.unsqueeze(2), *details)
        return image

    def spatial_map(self, relevance: Tensor, coefficients: Coefficients) -> Tensor:
        """Relevance interpolated between the points of each band's grid; the sum over bands and directions."""
        layout = coefficients.layout
        low, *details = layout.split(relevance)
        return sum((_upsample(band.sum(1), layout.size) for band in details), _upsample(low, layout.size))

    def settings(self) -> dict[str, str | int]:
        return {**super().settings(), "levels": self.levels}


class FrameTensors(NamedTuple):
    """A `Frame` on a device; `bands` holds positions, frequencies and weights of each."""

    size: tuple[int, ...]
    bands: tuple[tuple[tuple[int, int], Tensor, Tensor], ...]
    places: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    order: Tensor

    def analyse(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(B, C, *size)`` -> ``(B, C, orientations, rows, columns)`` for each band."""
        spectrum = torch.fft.fft2(x, norm="ortho").flatten(2)
        halves = (
            (positions, spectrum.index_select(2, frequency.flatten()).unflatten(2, weight.shape) * weight)
            for positions, frequency, weight in self.bands
        )
        return tuple(torch.fft.irfft2(half, s=positions, norm="ortho") for positions, half in halves)

    def synthesise(self, bands: tuple[Tensor, ...]) -> Tensor:
        """The adjoint of `analyse`, which is its inverse."""
        halves = torch.cat([torch.fft.rfft2(band, norm="ortho").flatten(2) for band in bands], 2)
        sums = halves.new_zeros(*halves.shape[:2], prod(self.size))
        for places, weights in zip(self.places, self.weights, strict=True):
            sums[..., : len(places)] += halves.index_select(2, places) * weights
        spectrum = sums.index_select(2, self.order).unflatten(2, self.size)
        image: Tensor = torch.fft.ifft2(spectrum, norm="ortho").real.contiguous()
        return image


class Analysis(torch.autograd.Function):
    """Image -> bands; its gradient is `Synthesis`, since that is its adjoint: no spectra are kept for it."""

    @staticmethod
    def forward(ctx: Any, frame: FrameTensors, x: Tensor) -> tuple[Tensor, ...]:
        ctx.frame = frame
        return frame.analyse(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, Synthesis.apply(ctx.frame, *gradients)


class Synthesis(torch.autograd.Function):
    """Bands -> image; its gradient is `Analysis`."""

    @staticmethod
    def forward(ctx: Any, frame: FrameTensors, *bands: Tensor) -> Tensor:
        ctx.frame = frame
        return frame.synthesise(bands)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return None, *Analysis.apply(ctx.frame, gradient)


def _upsample(band: Tensor, size: tuple[int, ...]) -> Tensor:
    """``(B, rows, columns)`` -> ``(B, *size)``, linear, around the border."""
    for axis, length in enumerate(size, start=1):
        entries = band.shape[axis]
        point = torch.arange(length, dtype=torch.float64, device=band.device) * (entries / length)
        lower = point.floor().long()
        weight = expand_dims((point - lower).to(band), 2 - axis)
        below, above = band.index_select(axis, lower), band.index_select(axis, (lower + 1) % entries)
        band = below + weight * (above - below)
    return band


@lru_cache(maxsize=16)
def _frame(size: tuple[int, ...], levels: int, device: torch.device, dtype: torch.dtype) -> FrameTensors:
    frame = shearlet_frame((size[0], size[1]), levels)
    with torch.inference_mode(False):  # the tensors outlive that mode

        def numbers(values: Any) -> Tensor:
            return torch.from_numpy(values).to(device, dtype)

        def indices(values: Any) -> Tensor:
            return torch.from_numpy(values).to(device)

        bands = tuple((band.positions, indices(band.frequency), numbers(band.weight)) for band in frame.bands)
        places, weights = tuple(map(indices, frame.places)), tuple(map(numbers, frame.weights))
        return FrameTensors(size, bands, places, weights, indices(frame.order))


@lru_cache(maxsize=16)
def _layout(size: tuple[int, ...], levels: int, device: torch.device | None) -> Layout:
    low, *details = shearlet_frame((size[0], size[1]), levels).bands
    bands, level, orientation = [Band("low", low.positions)], [], []
    with torch.inference_mode(False):
        level.append(torch.zeros(prod(low.positions), dtype=torch.int64))
        orientation.append(level[0] - 1)
        for index, detail in enumerate(details):
            count, entries = len(detail.weight), prod(detail.positions)
            bands.append(Band(f"level{detail.level}_{EDGES[index % 2]}", (count, *detail.positions)))
            level.append(torch.full((count * entries,), detail.level))
            orientation.append((torch.arange(count) + index % 2 * count).repeat_interleave(entries))
        levels_of, orientations = torch.cat(level).to(device), torch.cat(orientation).to(device)
    groups = ("low", *(f"level{number}" for number in range(1, levels + 1)))
    return Layout(tuple(bands), size, groups, levels_of, levels_of, orientations)
