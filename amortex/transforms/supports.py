"""Where basis functions are: their supports, and the centres of their energy."""

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import pywt
import torch
from numpy.typing import NDArray
from torch import Tensor

from amortex.core.layout import Layout
from amortex.core.nd import along_axes

NEGLIGIBLE = 1e-10  # of a basis function's values: the filters of some wavelets end in zeros


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

    def means(level: int, kinds: str) -> Tensor:
        """Means for the positions of a band, ``(B, *positions)``."""
        weights = [
            torch.from_numpy(_supports(wavelet, padding, level, kind, length)).to(maps)
            for kind, length in zip(kinds, layout.size, strict=True)
        ]
        return along_axes(maps, weights)

    details = [torch.stack([means(level, kinds) for kinds in orientations(dims)], 1) for level in range(1, levels + 1)]
    return layout.join([means(levels, "a" * dims), *details])


@lru_cache(maxsize=64)
def _supports(wavelet: str, padding: str, level: int, kind: str, length: int) -> NDArray[Any]:
    """Weights ``(entries, length)`` that average over the support of each 1-D basis function of a level."""
    with warnings.catch_warnings():  # PyWavelets warns where all coefficients feel the border
        warnings.simplefilter("ignore")
        empty = [np.zeros_like(band) for band in pywt.wavedec(np.zeros(length), wavelet, padding, level)]
    band = empty[0 if kind == "a" else 1]
    supports = np.zeros((len(band), length), bool)
    for index in range(len(band)):
        band[index] = 1.0
        supports[index] = np.abs(pywt.waverec(empty, wavelet, padding)[:length]) > NEGLIGIBLE
        band[index] = 0.0
    shares: NDArray[Any] = supports / supports.sum(1, keepdims=True).clip(min=1)
    return shares


def interpolation_weights(wavelet: str, padding: str, level: int, kind: str, length: int, entries: int) -> Tensor:
    """Weights ``(length, entries)`` of linear interpolation between the centres of energy of the basis functions."""
    energy = pywt.upcoef(kind, [1.0], wavelet, level=level) ** 2
    taps = pywt.Wavelet(wavelet).dec_len
    first = (1 - taps // 2 if padding == "periodization" else 2 - taps) * (2**level - 1)
    centre = first + float(np.arange(len(energy)) @ energy / energy.sum())  # of entry 0
    index = (torch.arange(length, dtype=torch.float64) - centre) / 2**level
    if padding == "periodization":
        distance = (index[:, None] - torch.arange(entries) + entries / 2) % entries - entries / 2
    else:
        distance = index.clamp(0, entries - 1)[:, None] - torch.arange(entries)
    weights: Tensor = (1 - distance.abs()).clamp(min=0)
    return weights
