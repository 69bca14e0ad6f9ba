"""One level of the inverse transform as plain convolutions, forward and backward."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def synthesise(quad: Tensor, phases: Tensor) -> Tensor:
    """The forward pass of `Synthesis`."""
    out = F.conv2d(quad, phases).permute(0, 2, 3, 1)
    rows, columns, channels = out.shape[1], out.shape[2], out.shape[3] // 4
    out = out.unflatten(3, (2, 2, channels)).permute(0, 1, 3, 2, 4, 5)
    image: Tensor = out.reshape(-1, 2 * rows, 2 * columns, channels).permute(0, 3, 1, 2)
    return image


class Synthesis(torch.autograd.Function):
    """One level of the inverse: ``(B, 4 C, h, w)`` -> ``(B, C, 2 h - length + 2, ...)``, all channels-last.

    It is a transposed convolution of stride 2 with a kernel that is block-diagonal in the channels: more operations
    than a grouped one, yet faster. Forward, the four phases of the output are one plain convolution, and the backward
    pass is a plain one with stride 2, because plain ones have the faster kernels on CPU.
    """

    @staticmethod
    def forward(ctx: Any, quad: Tensor, phases: Tensor, dense: Tensor) -> Tensor:
        ctx.save_for_backward(dense)
        return synthesise(quad, phases)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (dense,) = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        with torch.autocast(gradient.device.type, enabled=False):
            return F.conv2d(gradient, dense, stride=2, padding=dense.shape[-1] - 2), None, None
