"""One level of a wavelet transform and of its inverse as plain convolutions, forward and backward.

Plain convolutions have the faster kernels on CPU. They stand for grouped ones, with more operations, and for the
transposed ones that the inverse and the gradient of the transform are.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from amortex.core.nd import channels_last
from amortex.transforms.kernels import convolve


def analyse(x: Tensor, dense: Tensor) -> Tensor:
    """One level of the transform, ``(B, C, *size)`` -> ``(B, 2**dims C, *positions)``, zeros beyond the border."""
    odd = [(0, size % 2) for size in reversed(x.shape[2:])]  # one position more at the end of an odd size
    if any(size % 2 for size in x.shape[2:]):  # padding by nothing would copy
        x = F.pad(x, [width for pair in odd for width in pair])
    return convolve(x, dense, stride=2, padding=dense.shape[-1] - 2)


def synthesise(bands: Tensor, phases: Tensor) -> Tensor:
    """One level up, ``(B, 2**dims C, *positions)`` -> ``(B, C, 2 n - length + 2, ...)``, channels-last.

    All phases of the output are one convolution, and are interleaved.
    """
    dims = bands.ndim - 2
    out = convolve(bands, phases).movedim(1, -1)
    size, channels = out.shape[1:-1], out.shape[-1] // 2**dims
    out = out.unflatten(-1, (*[2] * dims, channels))
    interleaved = [axis for i in range(dims) for axis in (1 + i, 1 + dims + i)]
    signal: Tensor = out.permute(0, *interleaved, 2 * dims + 1).reshape(-1, *(2 * n for n in size), channels)
    return signal.movedim(-1, 1)


def crop(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """The first positions along each spatial axis of ``(B, C, *size)``."""
    for axis, length in enumerate(size, start=2):
        x = x.narrow(axis, 0, length)
    return x


class Analysis(torch.autograd.Function):
    """`analyse`, whose adjoint is `synthesise` with the same filters."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dense: Tensor, phases: Tensor) -> Tensor:
        ctx.save_for_backward(phases)
        ctx.size = tuple(x.shape[2:])
        return analyse(x, dense)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (phases,) = ctx.saved_tensors
        with torch.autocast(gradient.device.type, enabled=False):
            return crop(synthesise(channels_last(gradient), phases), ctx.size), None, None


class Synthesis(torch.autograd.Function):
    """`synthesise`, whose adjoint is a convolution of stride 2 with the same filters."""

    @staticmethod
    def forward(ctx: Any, bands: Tensor, dense: Tensor, phases: Tensor) -> Tensor:
        ctx.save_for_backward(dense)
        return synthesise(bands, phases)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (dense,) = ctx.saved_tensors
        with torch.autocast(gradient.device.type, enabled=False):
            return convolve(channels_last(gradient), dense, stride=2, padding=dense.shape[-1] - 2), None, None
