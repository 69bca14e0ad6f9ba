"""A network that moves logits: what is known of every entry -> by how much its logit should change."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from amortex.amortized.blocks import Level, width_at
from amortex.core.layout import Layout
from amortex.core.nd import channels_last


class Hidden(NamedTuple):
    """What the decoder knows of an input beside its logits."""

    condition: Tensor  # (B, condition)
    stages: tuple[Tensor, ...]  # (B, width, *positions), coarse to fine

    def of(self, images: slice | Tensor) -> "Hidden":
        """That of some of the inputs."""
        return Hidden(self.condition[images], tuple(stage[images] for stage in self.stages))


class Moves(nn.Module):
    """One small network per wavelet level, from coarse to fine, on top of what the decoder knows.

    Like the decoder, it is convolutional. Untrained, it moves nothing.

    Arguments:
        signals: numbers that it sees of each entry.
        numbers: that it sees of each input.
        levels: number of wavelet levels J.
        dims: number of spatial axes.
        width: of the decoder.
        condition: size of the decoder's vector, and of the one that modulates the levels here.
    """

    def __init__(
        self, signals: int, numbers: int, levels: int, dims: int, width: int = 32, condition: int = 64
    ) -> None:
        super().__init__()
        self.levels, self.dims, self.orientations = levels, dims, 2**dims - 1
        self.embed = nn.Sequential(
            nn.Linear(condition + numbers, condition), nn.Hardswish(), nn.Linear(condition, condition),
            nn.LayerNorm(condition),
        )  # fmt: skip
        self.stages = nn.ModuleList()
        above = 0
        for level in range(levels, 0, -1):
            entries, deep = self.orientations + (level == levels), width_at(level, width)
            inner = max(deep // 2, 16)
            given = signals * entries + deep
            self.stages.append(Level(dims, inner, entries, given, 0, above, condition, 2 * inner, 1))
            above = inner
        self.shift = nn.Linear(condition, levels + 1)  # of the low-pass, and of each level
        nn.init.zeros_(self.shift.weight)
        nn.init.zeros_(self.shift.bias)

    def move(self, known: Sequence[Tensor], numbers: Tensor, hidden: Hidden, layout: Layout) -> Tensor:
        """Moves ``(B, k)`` by signals ``(B, k)`` each, and `numbers` ``(B, numbers)``."""
        condition = self.embed(torch.cat([hidden.condition, numbers], 1))
        # orientations become channels
        given = [band.flatten(1, -1 - self.dims) for band in layout.split(torch.stack(tuple(known), 1))]
        moves, above = [known[0]] * (self.levels + 1), None
        for stage, level, deep in zip(self.stages, range(self.levels, 0, -1), hidden.stages, strict=True):
            here = [given[level], deep] if level < self.levels else [given[level], given[0], deep]
            out, above = stage(channels_last(torch.cat(here, 1)), None, above, condition, layout.size, level)
            moves[level] = out[:, : self.orientations]
            if level == self.levels:
                moves[0] = out[:, self.orientations]
        shift: Tensor = self.shift(condition)
        return layout.join(moves) + shift[:, layout.level]
