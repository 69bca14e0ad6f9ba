"""Whether a wavelet transform is exact for a size: it is compared with PyWavelets, there and back."""

import warnings
from typing import Any

import numpy as np
import pywt
import torch

from amortex.core.errors import InputError
from amortex.core.layout import Coefficients
from amortex.transforms.supports import orientations
from amortex.transforms.wavelet_layout import wavelet_layout

Wavelet = Any  # its module imports this one


def refuse_if_inexact(transform: Wavelet, size: tuple[int, ...]) -> None:
    """Raises InputError unless the transform is exact for signals of this size; it says what would be."""
    if not is_exact(transform, size):
        raise InputError(
            f"the wavelet transform {transform.wavelet}, {transform.levels} levels, padding {transform.padding!r} is "
            f"not exact for inputs of size {'x'.join(map(str, size))}: use {_remedies(transform, size)}"
        )


def is_exact(transform: Wavelet, size: tuple[int, ...]) -> bool:
    """Compare one random signal of this size with PyWavelets, there and back."""
    wavelet, levels, padding = transform.wavelet, transform.levels, transform.padding
    signal = np.random.default_rng(0).random(size)
    x = torch.from_numpy(signal)[None, None]
    layout = wavelet_layout(wavelet, levels, padding, size, None)
    try:
        with warnings.catch_warnings():  # PyWavelets warns where all coefficients feel the border
            warnings.simplefilter("ignore")
            low, *details = pywt.wavedecn(signal, wavelet, padding, levels)
        expected = [low, *(np.stack([d[kinds] for kinds in orientations(len(size))]) for d in reversed(details))]
        bands = transform.analyse(x)
        exact = all(np.allclose(band[0, 0], e, rtol=0, atol=1e-9) for band, e in zip(bands, expected, strict=True))
        restored = transform.inverse(Coefficients(bands, layout))
        return exact and torch.allclose(restored, x, rtol=0, atol=1e-6)  # dmey, for one, reconstructs only to 5e-3
    except (RuntimeError, IndexError, ValueError):  # neither library pads a border longer than the signal
        return False


def _remedies(transform: Wavelet, size: tuple[int, ...]) -> str:
    """What would be exact instead: another padding, fewer levels, larger inputs."""

    def exact(levels: int, padding: str, length: int) -> bool:
        return is_exact(type(transform)(transform.wavelet, levels, padding, dims=1), (length,))

    shortest, levels, padding, remedies = min(size), transform.levels, transform.padding, []
    if exact(levels, "zero", shortest):
        remedies.append("padding 'zero'")
    fewer = next((number for number in range(levels - 1, 0, -1) if exact(number, padding, shortest)), 0)
    if fewer:
        remedies.append(f"at most {fewer} level{'s' if fewer > 1 else ''}")
    failing, length = shortest, 2 ** (levels - 1) * transform.length
    if length > shortest and exact(levels, padding, length):
        while length - failing > 1:  # sides of `length` are exact
            middle = (failing + length) // 2
            failing, length = (failing, middle) if exact(levels, padding, middle) else (middle, length)
        remedies.append(f"sides of at least {length}")
    return ", or ".join(remedies) or "another wavelet"
