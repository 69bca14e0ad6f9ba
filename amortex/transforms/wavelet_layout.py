"""Where the coefficients of a wavelet transform are."""

from functools import lru_cache
from math import prod

import pywt
import torch

from amortex.core.layout import Band, Layout
from amortex.transforms import Padding


@lru_cache(maxsize=16)
def wavelet_layout(
    wavelet: str, levels: int, padding: Padding, size: tuple[int, ...], device: torch.device | None
) -> Layout:
    """The layout of signals of a size: low-pass, then details from fine to coarse."""
    length, details = pywt.Wavelet(wavelet).dec_len, 2 ** len(size) - 1
    shapes = [size]
    for _ in range(levels):
        shapes.append(tuple(pywt.dwt_coeff_len(n, length, padding) for n in shapes[-1]))
    bands = [Band("low", shapes[-1])]
    bands += [Band(f"level{j}", (details, *shapes[j])) for j in range(1, levels + 1)]
    index = torch.arange(levels + 1, device=device)
    level = index.repeat_interleave(torch.tensor([prod(band.shape) for band in bands], device=device))
    orientation = [torch.full((prod(shapes[-1]),), -1, device=device)]
    orientation += [torch.arange(details, device=device).repeat_interleave(prod(band.shape[1:])) for band in bands[1:]]
    # low-pass and each level, orientations pooled (definitions of the adaptive Gaussian noise)
    return Layout(tuple(bands), size, tuple(band.name for band in bands), level, level, torch.cat(orientation))
