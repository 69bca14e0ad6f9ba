"""Where wavelets live: the supports of basis functions, and the centres of their energy."""

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import pywt
import torch
from numpy.typing import NDArray
from torch import Tensor

from amortex.core.layout import Layout

FILTERS = ("da", "ad", "dd")  # along rows and columns, of horizontal, vertical and diagonal details
NEGLIGIBLE = 1e-10  # of a basis function's values: some wavelets' filters end in zeros


def support_means(wavelet: str, mode: str, layout: Layout, maps: Tensor) -> Tensor:
    """Mean of maps ``(B, H, W)`` over the support, within the image, of each basis function: ``(B, k)``."""

    def box(level: int, kinds: str) -> Tensor:
        """Means for the positions of a band, ``(B, rows, columns)``."""
        rows, columns = (
            torch.from_numpy(_supports(wavelet, mode, level, kind, pixels)).to(maps)
            for kind, pixels in zip(kinds, layout.size, strict=True)
        )
        return rows @ maps @ columns.mT

    levels = len(layout.bands) - 1
    means = [box(levels, "aa")]
    for level in range(1, levels + 1):
        means.append(torch.stack([box(level, kinds) for kinds in FILTERS], 1))
    return layout.join(means)


@lru_cache(maxsize=64)
def _supports(wavelet: str, mode: str, level: int, kind: str, pixels: int) -> NDArray[Any]:
    """Weights ``(entries, pixels)`` that average over the support of each 1-D basis function of a level."""
    with warnings.catch_warnings():  # PyWavelets warns where all coefficients feel the border
        warnings.simplefilter("ignore")
        empty = [np.zeros_like(band) for band in pywt.wavedec(np.zeros(pixels), wavelet, mode, level)]
    band = empty[0 if kind == "a" else 1]
    supports = np.zeros((len(band), pixels), bool)
    for index in range(len(band)):
        band[index] = 1.0
        supports[index] = np.abs(pywt.waverec(empty, wavelet, mode)[:pixels]) > NEGLIGIBLE
        band[index] = 0.0
    shares: NDArray[Any] = supports / supports.sum(1, keepdims=True).clip(min=1)
    return shares


def hats(wavelet: str, mode: str, level: int, kind: str, pixels: int, entries: int) -> Tensor:
    """Weights ``(pixels, entries)`` of linear interpolation between the centres of energy of the basis functions."""
    energy = pywt.upcoef(kind, [1.0], wavelet, level=level) ** 2
    length = pywt.Wavelet(wavelet).dec_len
    first = (1 - length // 2 if mode == "periodization" else 2 - length) * (2**level - 1)
    centre = first + float(np.arange(len(energy)) @ energy / energy.sum())  # of entry 0
    index = (torch.arange(pixels, dtype=torch.float64) - centre) / 2**level
    if mode == "periodization":
        away = (index[:, None] - torch.arange(entries) + entries / 2) % entries - entries / 2
    else:
        away = index.clamp(0, entries - 1)[:, None] - torch.arange(entries)
    weights: Tensor = (1 - away.abs()).clamp(min=0)
    return weights
