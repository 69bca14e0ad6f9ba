"""Building blocks of the decoder and the refiner: one small network per wavelet level, from coarse to fine."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amortex.amortized.backbone import fit
from amortex.core.nd import CONVOLUTION_MODULES, expand_dims

FINEST_WIDTH = 8  # channels at level 1, which holds most positions; coarse levels are cheap, and wide
KERNEL = 5


def width_at(level: int, width: int) -> int:
    """Channels at a level of a network of `width` at level 2: twice as many at level 3, three times beyond."""
    return FINEST_WIDTH if level == 1 else width * min(level - 1, 3)


class Block(nn.Module):
    """Residual depthwise convolution and two-layer perceptron, modulated per input, over `dims` axes."""

    def __init__(self, width: int, inner: int, condition: int, dims: int) -> None:
        super().__init__()
        conv = CONVOLUTION_MODULES[dims]
        self.dims = dims
        self.depthwise = conv(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.norm = nn.GroupNorm(1, width, affine=False)
        self.modulate = nn.Linear(condition, 2 * width)
        self.expand = conv(width, inner, 1)
        self.project = conv(inner, width, 1)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = expand_dims(self.modulate(condition), self.dims).chunk(2, dim=1)
        modulated = torch.addcmul(shift, self.norm(self.depthwise(x)), 1 + scale)
        mixed: Tensor = x + self.project(F.hardswish(self.expand(modulated)))
        return mixed


class Level(nn.Module):
    """One wavelet level: its coefficients, the features at its stride and the coarser level -> logits.

    Arguments:
        dims: number of spatial axes.
        width: channels inside.
        entries: masks at each position: one per orientation, and at the coarsest level one for the low-pass.
        given: channels of what is known about the coefficients.
        features: channels of the feature map, 0 without one.
        above: channels of the coarser level, 0 at the coarsest.
        condition: size of the vector that modulates the blocks.
        inner: channels within blocks.
        depth: number of blocks.
    """

    def __init__(
        self, dims: int, width: int, entries: int, given: int, features: int, above: int, condition: int, inner: int,
        depth: int,
    ) -> None:  # fmt: skip
        super().__init__()
        conv = CONVOLUTION_MODULES[dims]
        self.stem = conv(given, width, 1)
        self.features = nn.Sequential(nn.GroupNorm(1, features), conv(features, width, 1)) if features else None
        self.above = conv(above, width, 1) if above else None
        self.blocks = nn.ModuleList(Block(width, inner, condition, dims) for _ in range(depth))
        self.norm = nn.GroupNorm(1, width)  # the sum over the blocks can grow, the logits must not with it
        self.head = conv(width, entries, 1)
        nn.init.zeros_(self.head.weight)  # training starts from the prior
        nn.init.zeros_(self.head.bias)

    def forward(
        self, given: Tensor, features: Tensor | None, above: Tensor | None, condition: Tensor, size: tuple[int, ...],
        level: int,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Logits ``(B, entries, *positions)`` and hidden channels ``(B, width, *positions)``.

        `given` ``(B, channels, *positions)`` belongs to a wavelet `level` of inputs of `size`.
        """
        positions = given.shape[2:]
        x = self.stem(given)
        if self.features is not None and features is not None:
            x = x + fit(self.features(features), positions, size, level)
        if self.above is not None and above is not None:
            # a level has a little less than twice the positions of the coarser one, about the same centre
            finer = F.interpolate(self.above(above), scale_factor=2.0, mode="nearest")
            for axis, count in enumerate(positions, start=2):
                finer = finer.narrow(axis, (finer.shape[axis] - count) // 2, count)
            x = x + finer
        for block in self.blocks:
            x = block(x, condition)
        x = self.norm(x)
        return self.head(x), x
