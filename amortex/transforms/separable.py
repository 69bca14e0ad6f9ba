"""One wavelet level axis by axis, by the filter banks of pytorch_wavelets: any padding, filters of any length."""

import warnings
from math import prod

import torch
from torch import Tensor

with warnings.catch_warnings():  # its import of pkg_resources warns; pyproject.toml pins what it needs
    warnings.simplefilter("ignore")
    from pytorch_wavelets.dwt.lowlevel import afb1d, sfb1d


def split_axes(x: Tensor, filters: Tensor, padding: str) -> Tensor:
    """``(B, C, *size)`` -> ``(B, C, 2**dims, *positions)``: low-pass, then the details in the order of `orientations`.

    Arguments:
        filters: ``(2, length)``, low-pass and high-pass of the analysis, as PyWavelets has them reversed.
    """
    batch, channels, *size = x.shape
    signals = x.reshape(-1, *size)  # channels go into the batch: faster than one convolution group each
    for axis in reversed(range(len(size))):
        rows, dim = _matrix(signals, axis)
        low, high = (_along(taps, dim) for taps in filters)
        split = afb1d(rows, low, high, mode=padding, dim=dim)  # (N, 2, ., .)
        size[axis] = split.shape[dim]
        split = split.unflatten(0, (len(signals), -1)).movedim(2, 1)
        signals = split.reshape(-1, *size)
    return signals.reshape(batch, channels, -1, *size)


def merge_axes(bands: Tensor, filters: Tensor, padding: str) -> Tensor:
    """The inverse of `split_axes` up to the border; `filters` ``(2, length)`` are those of the synthesis."""
    batch, channels, _, *size = bands.shape
    signals = bands.reshape(-1, *size)
    for axis in range(len(size)):
        pairs = signals.unflatten(0, (-1, 2))
        (low, dim), (high, _) = (_matrix(part, axis) for part in pairs.unbind(1))
        merged = sfb1d(low, high, *(_along(taps, dim) for taps in filters), mode=padding, dim=dim)
        size[axis] = merged.shape[dim]
        signals = merged.reshape(-1, *size)
    return signals.reshape(batch, channels, *size)


def _matrix(signals: Tensor, axis: int) -> tuple[Tensor, int]:
    """``(N, *size)`` as ``(M, 1, ., .)``, and which of its axes is `axis`."""
    size = signals.shape[1:]
    if axis == len(size) - 1:
        return signals.reshape(len(signals), 1, prod(size[:axis]), size[axis]), 3
    return signals.reshape(-1, 1, size[axis], prod(size[axis + 1 :])), 2


def _along(taps: Tensor, dim: int) -> Tensor:
    """A filter along an axis of a matrix, ``(1, 1, ., .)``."""
    shape = torch.Size((1, 1, 1, -1) if dim == 3 else (1, 1, -1, 1))
    return taps.reshape(shape)
