"""Operations by the number of a signal's axes: one for sound, two for images, three for volumes."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONVOLUTION_MODULES: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
INTERPOLATIONS = {1: "linear", 2: "bilinear", 3: "trilinear"}
MEMORY_FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d}
MOST_DIMS = 3
FEW_CHANNELS = 16  # less than fills the registers of a CPU


def channels_last(x: Tensor) -> Tensor:
    """``(B, C, *size)`` with the channels innermost in memory, as convolutions want them; of sound as it is."""
    return x.contiguous(memory_format=MEMORY_FORMATS[x.ndim - 2])


def innermost_channels(model: nn.Module, dims: int) -> nn.Module:
    """A network with the memory format of signals of `dims` axes; as it is where weights of other ranks forbid that."""
    ranks = {tensor.ndim for tensor in (*model.parameters(), *model.buffers())}
    return model if ({4, 5} - {dims + 2}) & ranks else model.to(memory_format=MEMORY_FORMATS[dims])


def expand_dims(values: Tensor, dims: int) -> Tensor:
    """Append `dims` axes of length one, to broadcast over positions."""
    return values.reshape(*values.shape, *[1] * dims)


def spatial_axes(dims: int) -> tuple[int, ...]:
    """The axes of ``(B, C, *size)`` behind batch and channels."""
    return tuple(range(2, 2 + dims))


def spatial_max(x: Tensor) -> Tensor:
    """Largest value of each channel, ``(B, C, *size)`` -> ``(B, C)``.

    Of few channels that are innermost in memory, whole rows are compared: torch's `amax` takes ten times as long there.
    """
    channels, dims = x.shape[1], x.ndim - 2
    if dims == 1 or channels >= FEW_CHANNELS:
        return x.amax(spatial_axes(dims))
    rows = x.movedim(1, -1).flatten(2).amax(1)
    largest: Tensor = rows.unflatten(1, (-1, channels)).amax(1)
    return largest


def local_mean(x: Tensor, side: int, dims: int) -> Tensor:
    """Mean over `side` neighbours along each of the last `dims` axes; at the border over those that there are."""
    if dims == 3:  # torch's pooling of volumes refuses those shorter than the neighbourhood
        planes = local_mean(x, side, 2).flatten(-2)
        volume: Tensor = local_mean(planes.mT, side, 1).mT.unflatten(-1, x.shape[-2:])
        return volume
    pool = F.avg_pool1d if dims == 1 else F.avg_pool2d
    leading = x.flatten(0, -1 - dims)
    mean: Tensor = pool(leading, side, 1, side // 2, count_include_pad=False).unflatten(0, x.shape[:-dims])
    return mean


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """``(B, C, *positions)`` interpolated linearly to `size`, without aliasing where it shrinks.

    Torch has a filter against aliasing for images alone: other signals shrink by means over areas.
    """
    dims, shrinks = x.ndim - 2, any(before > after for before, after in zip(x.shape[2:], size, strict=True))
    mode = "area" if shrinks and dims != 2 else INTERPOLATIONS[dims]
    # in float32: not all kernels know bfloat16
    return F.interpolate(x.float(), tuple(size), mode=mode, antialias=shrinks and dims == 2).to(x.dtype)
