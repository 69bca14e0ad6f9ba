"""Kernels of plain convolutions that are one level of a wavelet transform, in any number of dimensions."""

from functools import reduce

import torch
from torch import Tensor

from amortex.core.nd import expand_dims


def dense_kernel(filters: Tensor, channels: int, dims: int) -> Tensor:
    """Products of low-pass and high-pass filters ``(2, length)``: ``(2**dims C, C, length, ...)`` for C channels.

    The low-pass of each channel comes first, then the details of each.
    """
    codes = [[code >> axis & 1 for axis in range(dims)] for code in range(2**dims)]
    products = [reduce(torch.mul, [expand_dims(filters[bit], dims - 1 - axis) for axis, bit in enumerate(bits)])
                for bits in codes]  # fmt: skip
    kernel = torch.stack(products)[:, None]  # (2**dims, 1, length, ...)
    eye = expand_dims(torch.eye(channels, dtype=kernel.dtype)[:, None], dims)
    dense = torch.cat([eye * kernel[:1], eye * kernel[None, 1:]], dim=1)  # (C, 2**dims, C, length, ...)
    return torch.cat([dense[:, 0], dense[:, 1:].flatten(0, 1)])


def phase_kernel(dense: Tensor) -> Tensor:
    """The kernel of a transposed convolution of stride 2 as that of a plain one for each phase of its output."""
    dims, half = dense.ndim - 2, dense.shape[-1] // 2
    for axis in range(dims):
        dense = dense.unflatten(2 + 2 * axis, (half, 2))
    taps, phases = [2 + 2 * axis for axis in range(dims)], [3 + 2 * axis for axis in range(dims)]
    return dense.flip(taps).permute(*phases, 1, 0, *taps).flatten(0, dims)
