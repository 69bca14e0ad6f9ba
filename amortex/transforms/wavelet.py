"""The discrete wavelet transform of signals with one to three axes (PyWavelets' conventions)."""

from typing import get_args

import numpy as np
import pywt
import torch
from torch import Tensor

from amortex.core.catalog import check_name, similar_names
from amortex.core.errors import InputError
from amortex.core.layout import Coefficients, Layout
from amortex.core.nd import MEMORY_FORMATS, MOST_DIMS, channels_last
from amortex.transforms import Padding
from amortex.transforms.base import Transform
from amortex.transforms.exactness import refuse_if_inexact
from amortex.transforms.filter_bank import Analysis, Synthesis, analyse, crop, synthesise
from amortex.transforms.kernels import dense_kernel, phase_kernel
from amortex.transforms.separable import merge_axes, split_axes
from amortex.transforms.supports import orientations, upsample
from amortex.transforms.wavelet_layout import wavelet_layout

# A non-separable level costs length**dims operations per coefficient, but is one dense channels-last convolution,
# which beats separable passes on CPU and GPU until the filters get long.
LONGEST_NONSEPARABLE = {1: 102, 2: 12, 3: 6}


class Wavelet(Transform):
    """The ``levels``-fold DWT; bands ``low (*positions)`` and ``level1 .. levelJ (2**dims - 1, *positions)``.

    Level 1 is the finest. Equal to ``pywt.wavedecn`` coefficient by coefficient; the details of a level are in the
    order of `orientations` (for images horizontal, vertical, diagonal). Each size is checked once against PyWavelets
    when it is first seen; a combination of wavelet, padding and size that is not exact is refused.

    Arguments:
        wavelet: any discrete wavelet name of PyWavelets (`pywt.wavelist(kind="discrete")`).
        levels: number of levels J.
        padding: how signals go on beyond their border (PyWavelets' names).
        dims: number of axes: 1 for sound ``(B, C, T)``, 2 for images ``(B, C, H, W)``, 3 for volumes
            ``(B, C, D, H, W)``.

    Raises:
        InputError: unknown wavelet or padding, `levels` < 1, `dims` not 1 to 3, or (on first use) an inexact
            combination.

    References:
        CartoonX uses db3, J = 5, zero padding (Kolek et al., ECCV 2022, section 4).

    >>> Wavelet()(torch.rand(1, 3, 224, 224)).layout.k
    53959
    """

    def __init__(self, wavelet: str = "db3", levels: int = 5, padding: Padding = "zero", dims: int = 2) -> None:
        super().__init__()
        discrete = pywt.wavelist(kind="discrete")
        if wavelet not in discrete:
            hint = similar_names(str(wavelet), discrete) or "use a discrete wavelet of PyWavelets, e.g. haar, db3, sym4"
            raise InputError(f"unknown wavelet {wavelet!r}: {hint}")
        check_name("padding", padding, get_args(Padding))
        if levels < 1:
            raise InputError(f"a wavelet transform needs at least one level, not {levels}")
        if not 1 <= dims <= MOST_DIMS:
            raise InputError(f"a wavelet transform is of signals with 1 to {MOST_DIMS} axes, not {dims}")
        self.wavelet, self.levels, self.padding, self.dims = wavelet, levels, padding, dims
        filters = pywt.Wavelet(wavelet)
        self.length = filters.dec_len
        long = self.length > LONGEST_NONSEPARABLE[dims]
        self.separable_analysis, self.separable_synthesis = (
            long or padding != "zero",
            long or padding == "periodization",
        )
        # Masters in float64 whatever the module is cast to: rounded filters would not be exact.
        pairs = {
            "analysis": (filters.dec_lo[::-1], filters.dec_hi[::-1]), "synthesis": (filters.rec_lo, filters.rec_hi),
        }  # fmt: skip
        self._masters = {name: torch.tensor(np.array(pair), dtype=torch.float64) for name, pair in pairs.items()}
        self._kernels: dict[tuple[str, int, torch.dtype, torch.device], tuple[Tensor, Tensor]] = {}
        self._rounded: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}
        self._exact: set[tuple[int, ...]] = set()  # sizes of signals

    def layout(self, size: tuple[int, ...], device: torch.device | None = None) -> Layout:
        size = tuple(size)
        if len(size) != self.dims:
            raise InputError(f"a wavelet transform of {self.dims} axes cannot take signals of {len(size)}")
        if size not in self._exact:
            refuse_if_inexact(self, size)
            self._exact.add(size)
        with torch.inference_mode(False):  # it outlives that mode
            return wavelet_layout(self.wavelet, self.levels, self.padding, size, device)

    def forward(self, x: Tensor) -> Coefficients:
        layout = self.layout(tuple(x.shape[2:]), x.device)
        with torch.autocast(x.device.type, enabled=False):
            return Coefficients(self.analyse(x if x.dtype == torch.float64 else x.float()), layout)

    def inverse(self, coefficients: Coefficients) -> Tensor:
        low, *details = coefficients.bands
        with torch.autocast(low.device.type, enabled=False):
            for detail in reversed(details):
                # an odd size inverts to one position too many
                low = self._synthesise(crop(low, detail.shape[3:]), detail)
        return crop(low, coefficients.layout.size)

    def spatial_map(self, relevance: Tensor, coefficients: Coefficients) -> Tensor:
        """Relevance upsampled from each band's positions to the signal; the sum over bands (WAM).

        An entry lands where its basis function has its energy. Spreading a band evenly over the signal would not do:
        bands reach beyond the border, and the filters of most wavelets lean to one side.
        """
        layout = coefficients.layout
        low, *details = layout.split(relevance)
        with torch.autocast(relevance.device.type, enabled=False):
            total = self._upsample(low, self.levels, "a" * self.dims, layout.size)
            for level, detail in enumerate(details, start=1):
                for kinds, band in zip(orientations(self.dims), detail.unbind(1), strict=True):
                    total = total + self._upsample(band, level, kinds, layout.size)
        return total

    def reaches(self, region: Tensor) -> Tensor:
        layout, low, details = self.layout(tuple(region.shape[2:]), region.device), region, []
        ones = torch.ones(2, self.length, device=region.device)
        for _ in range(self.levels):  # sums over what the filters see: whole numbers, and so exact
            bands = split_axes(low.float(), ones, self.padding) > 0.5
            low, detail = bands[:, :, 0], bands[:, :, 1:]
            details.append(detail)
        return layout.join([low, *details])[:, 0]

    def settings(self) -> dict[str, str | int]:
        arguments: dict[str, str | int] = {
            "wavelet": self.wavelet,
            "levels": self.levels,
            "padding": self.padding,
            "dims": self.dims,
        }
        return {**super().settings(), **arguments}

    def _upsample(self, band: Tensor, level: int, kinds: str, size: tuple[int, ...]) -> Tensor:
        """``(B, *positions)`` -> ``(B, *size)``; `kinds` names the filter along each axis."""
        return upsample(band, self.wavelet, self.padding, level, kinds, size)

    def _kernels_of(self, name: str, channels: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Kernels of ``analysis`` or ``synthesis`` in the precision and on the device of a tensor.

        Those of plain convolutions for so many channels, ``(2**dims C, C, length, ...)``: the low-pass of each channel,
        then its details; and those of the phases of the transposed convolutions.
        """
        key = (name, channels, like.dtype, like.device)
        if key not in self._kernels:
            with torch.inference_mode(False):  # they outlive that mode
                dense, memory_format = dense_kernel(self._masters[name], channels, self.dims), MEMORY_FORMATS[self.dims]
                dense, phases = (
                    kernel.to(like.dtype).to(like.device).contiguous(memory_format=memory_format)
                    for kernel in (dense, phase_kernel(dense))
                )
            self._kernels[key] = dense, phases
        return self._kernels[key]

    def _filters(self, name: str, like: Tensor) -> Tensor:
        key = (name, like.dtype, like.device)
        if key not in self._rounded:
            with torch.inference_mode(False):
                self._rounded[key] = self._masters[name].to(like.dtype).to(like.device)
        return self._rounded[key]

    def analyse(self, low: Tensor) -> tuple[Tensor, ...]:
        """Signal -> bands, of any size: whether they are exact is for `layout` to say."""
        channels, details = low.shape[1], []
        low = low if self.separable_analysis else channels_last(low)
        for _ in range(self.levels):
            if self.separable_analysis:
                bands = split_axes(low, self._filters("analysis", low), self.padding)
                low, detail = bands[:, :, 0], bands[:, :, 1:]
            else:
                bands = self._analyse_level(low)
                low, detail = bands[:, :channels], bands[:, channels:].unflatten(1, (channels, 2**self.dims - 1))
            details.append(detail)
        return (low, *details)

    def _analyse_level(self, low: Tensor) -> Tensor:
        """One level: ``(B, C, *size)`` -> ``(B, 2**dims C, *positions)``."""
        dense, phases = self._kernels_of("analysis", low.shape[1], low)
        return Analysis.apply(low, dense, phases) if low.requires_grad else analyse(low, dense)

    def _synthesise(self, low: Tensor, detail: Tensor) -> Tensor:
        """One level up: ``(B, C, *positions)`` and its details -> ``(B, C, 2 n - length + 2, ...)``."""
        if self.separable_synthesis:
            bands = torch.cat([low[:, :, None], detail], 2)
            return merge_axes(bands, self._filters("synthesis", low), self.padding)
        bands = channels_last(torch.cat([low, detail.flatten(1, 2)], dim=1))
        dense, phases = self._kernels_of("synthesis", low.shape[1], low)
        return Synthesis.apply(bands, dense, phases) if bands.requires_grad else synthesise(bands, phases)
