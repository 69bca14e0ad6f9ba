"""One level of the inverse transform as plain convolutions, forward and backward."""

from typing import Any

import torch
from torch import Tensor

from amortex.core.nd import CONVOLUTIONS, channels_last


def synthesise(bands: Tensor, phases: Tensor) -> Tensor:
    """The forward pass of `Synthesis`: all phases of the output by one convolution, then interleaved."""
    dims = bands.ndim - 2
    out = CONVOLUTIONS[dims](bands, phases).movedim(1, -1)
    size, channels = out.shape[1:-1], out.shape[-1] // 2**dims
    out = out.unflatten(-1, (*[2] * dims, channels))
    interleaved = [axis for i in range(dims) for axis in (1 + i, 1 + dims + i)]
    signal: Tensor = out.permute(0, *interleaved, 2 * dims + 1).reshape(-1, *(2 * n for n in size), channels)
    return signal.movedim(-1, 1)


class Synthesis(torch.autograd.Function):
    """One level of the inverse: ``(B, 2**dims C, *positions)`` -> ``(B, C, 2 n - length + 2, ...)``, channels-last.

    It is a transposed convolution of stride 2 with a kernel that is block-diagonal in the channels: more operations
    than a grouped one, yet faster. Forward, the phases of the output are one plain convolution, and the backward
    pass is a plain one with stride 2, because plain ones have the faster kernels on CPU.
    """

    @staticmethod
    def forward(ctx: Any, bands: Tensor, phases: Tensor, dense: Tensor) -> Tensor:
        ctx.save_for_backward(dense)
        return synthesise(bands, phases)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (dense,) = ctx.saved_tensors
        gradient, convolve = channels_last(gradient), CONVOLUTIONS[gradient.ndim - 2]
        with torch.autocast(gradient.device.type, enabled=False):
            return convolve(gradient, dense, stride=2, padding=dense.shape[-1] - 2), None, None
