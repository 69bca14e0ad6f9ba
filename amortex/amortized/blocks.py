"""What decoder and refiner are built of: one wavelet level after the other, from coarse to fine."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amortex.amortized.backbone import fit

FINEST_WIDTH = 8  # channels at level 1, which has three quarters of the positions; coarse levels are cheap, and wide
ORIENTATIONS = 3


def width_at(level: int, width: int) -> int:
    """Channels at a level of a network of `width` at level 2: twice as many at level 3, three times beyond."""
    return FINEST_WIDTH if level == 1 else width * min(level - 1, 3)


class Block(nn.Module):
    """Residual depthwise convolution and two-layer perceptron, modulated per image."""

    def __init__(self, width: int, inner: int, condition: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm = nn.GroupNorm(1, width, affine=False)
        self.modulate = nn.Linear(condition, 2 * width)
        self.expand = nn.Conv2d(width, inner, 1)
        self.project = nn.Conv2d(inner, width, 1)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulate(condition)[:, :, None, None].chunk(2, dim=1)
        y = torch.addcmul(shift, self.norm(self.depthwise(x)), 1 + scale)
        mixed: Tensor = x + self.project(F.hardswish(self.expand(y)))
        return mixed


class Level(nn.Module):
    """One wavelet level: its coefficients, the features at its stride and the coarser level -> logits.

    Arguments:
        width: channels inside.
        entries: masks at each position: three orientations, and the low-pass at the coarsest level.
        given: channels of what is known about the coefficients.
        features: channels of the feature map, 0 without one.
        above: channels of the coarser level, 0 at the coarsest.
        condition: size of the vector that modulates the blocks.
        inner: channels within blocks.
        depth: number of blocks.
    """

    def __init__(
        self, width: int, entries: int, given: int, features: int, above: int, condition: int, inner: int, depth: int
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(given, width, 1)
        self.features = nn.Sequential(nn.GroupNorm(1, features), nn.Conv2d(features, width, 1)) if features else None
        self.above = nn.Conv2d(above, width, 1) if above else None
        self.blocks = nn.ModuleList(Block(width, inner, condition) for _ in range(depth))
        self.norm = nn.GroupNorm(1, width)  # the sum over the blocks can grow, the logits must not with it
        self.head = nn.Conv2d(width, entries, 1)
        nn.init.zeros_(self.head.weight)  # training starts from the prior
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(
        self, given: Tensor, features: Tensor | None, above: Tensor | None, condition: Tensor, size: tuple[int, ...],
        level: int,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        x = self.stem(given)
        if self.features is not None and features is not None:
            x = x + fit(self.features(features), given.shape[2:], size, level)
        if self.above is not None and above is not None:
            # a level has a little less than twice the positions of the coarser one, about the same centre
            finer = F.interpolate(self.above(above), scale_factor=2.0, mode="nearest")
            rows, columns = ((f - g) // 2 for f, g in zip(finer.shape[2:], given.shape[2:], strict=True))
            x = x + finer[:, :, rows : rows + given.shape[2], columns : columns + given.shape[3]]
        for block in self.blocks:
            x = block(x, condition)
        x = self.norm(x)
        return self.head(x), x
