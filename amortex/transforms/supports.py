"""Where basis functions are: their supports, and the centres of their energy."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pywt
import torch
from scipy.sparse import csr_array, identity
from torch import Tensor

from amortex.core.layout import Layout
from amortex.core.nd import expand_dims

NEGLIGIBLE = 1e-10  # of a filter's taps: those of some wavelets end in zeros


def orientations(dims: int) -> tuple[str, ...]:
    """Names of the details at a level: the filter along each axis, ``a`` low-pass, ``d`` high-pass (as in ptwt).

    They are counted in binary with the first axis lowest, which for images is PyWavelets' order: horizontal, vertical,
    diagonal.

    >>> orientations(2)
    ('da', 'ad', 'dd')
    """
    return tuple("".join("ad"[code >> axis & 1] for axis in range(dims)) for code in range(1, 2**dims))


def support_means(wavelet: str, padding: str, layout: Layout, maps: Tensor) -> Tensor:
    """Mean of maps ``(B, *size)`` over the support, within the signal, of each basis function: ``(B, k)``."""
    dims, levels = len(layout.size), len(layout.bands) - 1

    values = maps.cpu().numpy()

    def means(level: int, kinds: str) -> Tensor:
        """Means for the positions of a band, ``(B, *positions)``."""
        band = values
        for axis, (kind, length) in enumerate(zip(kinds, layout.size, strict=True), start=1):
            rows = np.moveaxis(band, axis, 0)
            averaged = _supports(wavelet, padding, level, kind, length) @ rows.reshape(length, -1)
            band = np.moveaxis(averaged.reshape(-1, *rows.shape[1:]), 0, axis)
        return torch.from_numpy(band).to(maps)

    details = [torch.stack([means(level, kinds) for kinds in orientations(dims)], 1) for level in range(1, levels + 1)]
    return layout.join([means(levels, "a" * dims), *details])


@lru_cache(maxsize=64)
def _supports(wavelet: str, padding: str, level: int, kind: str, length: int) -> csr_array:
    """Weights ``(entries, length)`` that average over the support of each 1-D basis function of a level.

    They are sparse: a dense table would not fit into memory for a second of sound.
    """
    lengths = [length]
    for _ in range(level):
        lengths.append(pywt.dwt_coeff_len(lengths[-1], pywt.Wavelet(wavelet).dec_len, padding))
    filters = pywt.Wavelet(wavelet).rec_lo, pywt.Wavelet(wavelet).rec_hi
    supports = csr_array(identity(length))
    for step in range(1, level + 1):
        taps = filters[1 if kind == "d" and step == level else 0]
        supports = _reached(taps, padding, lengths[step], lengths[step - 1]) @ supports
    supports = supports.astype(bool).astype(float)
    means: csr_array = csr_array(supports.multiply(1 / supports.sum(1).clip(min=1)[:, None]))
    return means


def _reached(taps: Sequence[float], padding: str, entries: int, length: int) -> csr_array:
    """``(entries, length)``: 1 at the positions one level finer that an entry contributes to."""
    offsets = np.flatnonzero(np.abs(taps) > NEGLIGIBLE)
    first = 1 - len(taps) // 2 if padding == "periodization" else 2 - len(taps)
    positions = 2 * np.arange(entries)[:, None] + first + offsets
    positions = positions % (2 * entries) if padding == "periodization" else positions
    inside = (positions >= 0) & (positions < length)
    rows = np.broadcast_to(np.arange(entries)[:, None], positions.shape)[inside]
    return csr_array((np.ones(len(rows)), (rows, positions[inside])), shape=(entries, length))


def upsample(band: Tensor, wavelet: str, padding: str, level: int, kinds: str, size: tuple[int, ...]) -> Tensor:
    """``(B, *positions)`` -> ``(B, *size)``: linear interpolation between the centres of energy of basis functions.

    `kinds` names the filter along each axis.
    """
    for axis, (kind, length) in enumerate(zip(kinds, size, strict=True), start=1):
        lower, upper, weight = _neighbours(wavelet, padding, level, kind, length, band.shape[axis])
        weight = expand_dims(weight.to(band), band.ndim - 1 - axis)
        below, above = (band.index_select(axis, index.to(band.device)) for index in (lower, upper))
        band = below + weight * (above - below)
    return band


@lru_cache(maxsize=64)
def _neighbours(
    wavelet: str, padding: str, level: int, kind: str, length: int, entries: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The entries on both sides of each of `length` positions, and the weight of the second, ``(length,)`` each."""
    energy = pywt.upcoef(kind, [1.0], wavelet, level=level) ** 2
    taps = pywt.Wavelet(wavelet).dec_len
    first = (1 - taps // 2 if padding == "periodization" else 2 - taps) * (2**level - 1)
    centre = first + float(np.arange(len(energy)) @ energy / energy.sum())  # of entry 0
    with torch.inference_mode(False):  # the tensors outlive that mode
        index = (torch.arange(length, dtype=torch.float64) - centre) / 2**level
        index = index % entries if padding == "periodization" else index.clamp(0, entries - 1)
        lower = index.floor().long().clamp(max=entries - 1)
        upper = (lower + 1) % entries if padding == "periodization" else (lower + 1).clamp(max=entries - 1)
        return lower, upper, index - lower
