"""The discrete wavelet transform (PyWavelets' conventions, pytorch_wavelets' filter banks)."""

import warnings
from functools import lru_cache
from math import prod
from typing import Any, get_args

import numpy as np
import pywt
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from amortex.core.errors import InputError
from amortex.core.layout import Band, Coefficients, Layout
from amortex.transforms import Padding
from amortex.transforms.base import Transform
from amortex.transforms.supports import hats
from amortex.transforms.synthesis import Synthesis, synthesise

with warnings.catch_warnings():  # its import of pkg_resources warns; pyproject.toml pins what it needs
    warnings.simplefilter("ignore")
    from pytorch_wavelets.dwt.lowlevel import afb1d, sfb1d


# The non-separable synthesis costs length**2 operations per coefficient, but is one dense channels-last
# convolution, which beats two separable passes on CPU and GPU until the filters get long.
LONGEST_NONSEPARABLE = 12


class Wavelet(Transform):
    """The ``levels``-fold 2-D DWT; bands ``low (h, w)`` and ``level1 .. levelJ (3, h, w)``, level 1 the finest.

    Equal to ``pywt.wavedec2`` coefficient by coefficient, with orientations in its order (horizontal,
    vertical, diagonal). Each image size is checked once against PyWavelets when it is first seen; a
    combination of wavelet, padding and size that is not exact is refused.

    Arguments:
        wavelet: any discrete wavelet name of PyWavelets (`pywt.wavelist(kind="discrete")`).
        levels: number of levels J.
        padding: how images are continued beyond their border (PyWavelets' names).

    Raises:
        InputError: unknown wavelet or padding, `levels` < 1, or (on first use) an inexact combination.

    References:
        CartoonX uses db3, J = 5, zero padding (Kolek et al., ECCV 2022, section 4).

    >>> Wavelet()(torch.rand(1, 3, 224, 224)).layout.k
    53959
    """

    def __init__(self, wavelet: str = "db3", levels: int = 5, padding: Padding = "zero") -> None:
        super().__init__()
        if wavelet not in pywt.wavelist(kind="discrete"):
            raise InputError(f"unknown wavelet {wavelet!r}: use a discrete wavelet of PyWavelets, e.g. haar, db3, sym4")
        if padding not in get_args(Padding):
            raise InputError(f"padding {padding!r} is not offered: use one of {', '.join(get_args(Padding))}")
        if levels < 1:
            raise InputError(f"a wavelet transform needs at least one level, not {levels}")
        self.wavelet, self.levels, self.padding = wavelet, levels, padding
        w = pywt.Wavelet(wavelet)
        self.length = w.dec_len

        def products(lo: list[float], hi: list[float]) -> list[NDArray[Any]]:
            return [np.outer(columns, rows)[None] for columns, rows in ((lo, lo), (hi, lo), (lo, hi), (hi, hi))]

        # Masters in float64 whatever the module is cast to: rounded filters would not be exact.
        forth, back = (w.dec_lo[::-1], w.dec_hi[::-1]), (w.rec_lo, w.rec_hi)
        masters = {"analysis": forth, "synthesis": back, "forth": products(*forth), "back": products(*back)}
        self._masters = {name: torch.tensor(np.array(taps), dtype=torch.float64) for name, taps in masters.items()}
        self._filters: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}
        self._exact: set[tuple[int, ...]] = set()  # sizes of images

    def layout(self, size: tuple[int, ...], device: torch.device | None = None) -> Layout:
        size = tuple(size)
        if size not in self._exact:
            self._refuse_if_inexact(size)
            self._exact.add(size)
        with torch.inference_mode(False):  # it outlives that mode
            return _layout(self.wavelet, self.levels, self.padding, size, device)

    def forward(self, x: Tensor) -> Coefficients:
        layout = self.layout(tuple(x.shape[2:]), x.device)
        with torch.autocast(x.device.type, enabled=False):
            return Coefficients(self._analyse(x if x.dtype == torch.float64 else x.float()), layout)

    def inverse(self, coefficients: Coefficients) -> Tensor:
        low, *details = coefficients.bands
        height, width = coefficients.layout.size
        with torch.autocast(low.device.type, enabled=False):
            for detail in reversed(details):
                # an odd size inverts to one row or column too many
                low = self._synthesise(low[..., : detail.shape[-2], : detail.shape[-1]], detail)
        return low[..., :height, :width]

    def spatial_map(self, relevance: Tensor, coefficients: Coefficients) -> Tensor:
        """Relevance upsampled from each band's positions to the image; the sum over bands (WAM).

        An entry lands where its basis function has its energy. Spreading a band evenly over the image would not do:
        bands reach beyond the border, and the filters of most wavelets lean to one side.
        """
        layout = coefficients.layout
        low, *details = layout.split(relevance)
        with torch.autocast(relevance.device.type, enabled=False):
            total = self._upsample(low, self.levels, "aa", layout.size)
            for level, detail in enumerate(details, start=1):
                for kinds, band in zip(("da", "ad", "dd"), detail.unbind(1), strict=True):
                    total = total + self._upsample(band, level, kinds, layout.size)
        return total

    def _upsample(self, band: Tensor, level: int, kinds: str, size: tuple[int, ...]) -> Tensor:
        """``(B, h, w)`` -> ``(B, H, W)``; `kinds` names the filter along each axis, ``a`` low-pass, ``d`` high-pass."""
        rows, columns = (
            hats(self.wavelet, self.padding, level, kind, pixels, entries).to(band)
            for kind, pixels, entries in zip(kinds, size, band.shape[1:], strict=True)
        )
        return rows @ band @ columns.mT

    def _filter(self, name: str, like: Tensor) -> Tensor:
        """The filters in the precision and on the device of a tensor."""
        key = (name, like.dtype, like.device)
        if key not in self._filters:
            self._filters[key] = self._masters[name].to(like.dtype).to(like.device)
        return self._filters[key]

    def _kernel(self, name: str, channels: int, like: Tensor) -> Tensor:
        """Non-separable filters as kernels of plain convolutions, for so many colour channels.

        ``analysis`` and ``dense`` (``(4 C, C, length, length)``) hold the low-pass of each channel, then its details;
        ``phases`` is what `Synthesis` needs forward.
        """
        key = (f"{name}{channels}", like.dtype, like.device)
        if key not in self._filters:
            kernel = self._masters["forth" if name == "analysis" else "back"]  # (4, 1, length, length)
            eye = torch.eye(channels, dtype=kernel.dtype)[:, None, :, None, None]
            dense = torch.cat([eye * kernel[:1], eye * kernel[None, 1:]], dim=1)  # (C, 4, C, length, length)
            dense = torch.cat([dense[:, 0], dense[:, 1:].flatten(0, 1)])
            if name == "phases":
                half = self.length // 2
                taps = dense.unflatten(2, (half, 2)).unflatten(4, (half, 2))  # (4 C, C, half, 2, half, 2)
                dense = taps.flip(2, 4).permute(3, 5, 1, 0, 2, 4).flatten(0, 2)  # (2 * 2 * C, 4 C, half, half)
            dense = dense.to(like.dtype).to(like.device)
            self._filters[key] = dense.contiguous(memory_format=torch.channels_last)
        return self._filters[key]

    def settings(self) -> dict[str, str | int]:
        return {**super().settings(), "wavelet": self.wavelet, "levels": self.levels, "padding": self.padding}

    def _analyse(self, low: Tensor) -> tuple[Tensor, ...]:
        """Image -> bands."""
        batch, channels = low.shape[:2]
        if self.padding == "zero" and self.length <= LONGEST_NONSEPARABLE:
            return self._analyse_at_once(low)
        lo, hi = self._filter("analysis", low).reshape(2, 1, 1, 1, self.length)
        details = []
        for _ in range(self.levels):
            # colour channels go into the batch: faster than one convolution group each
            low = low.reshape(batch * channels, 1, *low.shape[-2:])
            rows = afb1d(low, lo, hi, mode=self.padding, dim=3)
            quad = afb1d(rows.flatten(0, 1)[:, None], lo.mT, hi.mT, mode=self.padding, dim=2)
            quad = quad.reshape(batch, channels, 4, *quad.shape[-2:])  # low, horizontal, vertical, diagonal
            low = quad[:, :, 0]
            details.append(quad[:, :, 1:])
        return (low, *details)

    def _analyse_at_once(self, low: Tensor) -> tuple[Tensor, ...]:
        """The same for zero padding: one plain convolution per level."""
        channels, kernel = low.shape[1], self._kernel("analysis", low.shape[1], low)
        low, details = low.contiguous(memory_format=torch.channels_last), []
        for _ in range(self.levels):
            border = self.length - 2  # and an odd size one more at its end
            rows, columns = (size % 2 for size in low.shape[2:])
            quad = F.conv2d(F.pad(low, (0, columns, 0, rows)), kernel, stride=2, padding=border)
            low, detail = quad[:, :channels], quad[:, channels:]
            details.append(detail.unflatten(1, (channels, 3)))
        return (low, *details)

    def _synthesise(self, low: Tensor, detail: Tensor) -> Tensor:
        """One level up: ``(B, C, h, w)`` and ``(B, C, 3, h, w)`` -> ``(B, C, 2 h - ..., 2 w - ...)``."""
        if self.padding == "periodization" or self.length > LONGEST_NONSEPARABLE:
            lo, hi = self._filter("synthesis", low).reshape(2, 1, 1, 1, self.length)
            horizontal, vertical, diagonal = detail.unbind(2)
            left = sfb1d(low, horizontal, lo.mT, hi.mT, mode=self.padding, dim=2)
            right = sfb1d(vertical, diagonal, lo.mT, hi.mT, mode=self.padding, dim=2)
            image: Tensor = sfb1d(left, right, lo, hi, mode=self.padding, dim=3)
            return image
        quad = torch.cat([low, detail.flatten(1, 2)], dim=1).contiguous(memory_format=torch.channels_last)
        phases, dense = (self._kernel(name, low.shape[1], low) for name in ("phases", "dense"))
        return Synthesis.apply(quad, phases, dense) if quad.requires_grad else synthesise(quad, phases)

    def _refuse_if_inexact(self, size: tuple[int, ...]) -> None:
        """Compare one random image of this size with PyWavelets, there and back."""
        image = np.random.default_rng(0).random(size)
        x = torch.from_numpy(image)[None, None]
        layout = _layout(self.wavelet, self.levels, self.padding, size, None)
        try:
            with warnings.catch_warnings():  # PyWavelets warns where all coefficients feel the border
                warnings.simplefilter("ignore")
                reference = pywt.wavedec2(image, self.wavelet, mode=self.padding, level=self.levels)
            expected = [reference[0], *(np.stack(detail) for detail in reference[:0:-1])]
            bands = self._analyse(x)
            exact = all(np.allclose(band[0, 0], e, rtol=0, atol=1e-9) for band, e in zip(bands, expected, strict=True))
            restored = self.inverse(Coefficients(bands, layout))
            exact &= torch.allclose(restored, x, rtol=0, atol=1e-6)  # dmey, for one, reconstructs only to 5e-3
        except (RuntimeError, IndexError, ValueError):  # neither library pads a border longer than the image
            exact = False
        if not exact:
            raise InputError(
                f"the wavelet transform {self.wavelet}, {self.levels} levels, padding {self.padding!r} is not exact for "
                f"images of size {'x'.join(map(str, size))}: use padding 'zero', fewer levels or larger images"
            )


@lru_cache(maxsize=16)
def _layout(wavelet: str, levels: int, padding: Padding, size: tuple[int, ...], device: torch.device | None) -> Layout:
    length = pywt.Wavelet(wavelet).dec_len
    shapes = [size]
    for _ in range(levels):
        shapes.append(tuple(pywt.dwt_coeff_len(n, length, padding) for n in shapes[-1]))
    bands = [Band("low", shapes[-1])]
    bands += [Band(f"level{j}", (3, *shapes[j])) for j in range(1, levels + 1)]
    index = torch.arange(levels + 1, device=device)
    level = index.repeat_interleave(torch.tensor([prod(band.shape) for band in bands], device=device))
    orientation = [torch.full((prod(shapes[-1]),), -1, device=device)]
    orientation += [torch.arange(3, device=device).repeat_interleave(prod(band.shape[1:])) for band in bands[1:]]
    # low-pass and each level, orientations pooled (definitions of the adaptive Gaussian noise)
    return Layout(tuple(bands), size, tuple(band.name for band in bands), level, level, torch.cat(orientation))
