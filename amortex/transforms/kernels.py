"""Kernels of plain convolutions that are one level of a wavelet transform, in any number of dimensions."""

from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional as F

from amortex.core.nd import CONVOLUTIONS, expand_dims

VECTOR = 16  # output channels with which convolutions of sound are vectorised
MANY = 2**16  # positions in a batch from which on that is worth its further operations


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


def convolve(x: Tensor, kernel: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """A plain convolution of ``(B, C, *size)``.

    Of sound it has few channels, for which libraries have slow kernels: neighbouring positions become channels, too.
    """
    dims, (channels, _, length) = x.ndim - 2, kernel.shape[:3]
    together = VECTOR // channels
    if dims > 1 or together < 2 or len(x) * x.shape[-1] < MANY * stride:
        return CONVOLUTIONS[dims](x, kernel, stride=stride, padding=padding)
    positions = (x.shape[-1] + 2 * padding - length) // stride + 1
    width, blocks = length + stride * (together - 1), -(-positions // together)
    # rows that are longer than `width` by a stride are cut at multiples of `width`: each starts a stride later
    rows = F.pad(kernel, (0, width + stride - length)).repeat(1, 1, together)[..., : together * width]
    shifted = rows.unflatten(-1, (together, width)).transpose(1, 2).flatten(0, 1)
    right = stride * (together * blocks - 1) + length - x.shape[-1] - padding
    out = F.conv1d(F.pad(x, (padding, right)), shifted, stride=stride * together)
    in_order: Tensor = out.unflatten(1, (channels, together)).mT.flatten(2)
    return in_order[..., :positions]
