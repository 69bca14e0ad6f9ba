"""The network: mask logits for every wavelet level at its own resolution, from coarse to fine."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amortex.predictors.backbone import class_map, fit
from amortex.predictors.evidence import Evidence, loudness

FINEST_WIDTH = 16  # of level 1, which has three quarters of the entries
ORIENTATIONS = 3


class Block(nn.Module):
    """Residual depthwise convolution and two-layer perceptron, modulated per image."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.modulate = nn.Linear(condition, 2 * width)
        self.grow = nn.Conv2d(width, 2 * width, 1)
        self.shrink = nn.Conv2d(2 * width, width, 1)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulate(condition)[:, :, None, None].chunk(2, dim=1)
        y = self.norm(self.spread(x)) * (1 + scale) + shift
        return x + self.shrink(F.hardswish(self.grow(y)))


class Level(nn.Module):
    """One wavelet level: its coefficients, the features at its stride and the coarser level -> logits.

    Arguments:
        width: channels inside.
        entries: masks at each position: three orientations, and the low-pass at the coarsest level.
        given: channels of what is known about the coefficients.
        features: channels of the feature map, 0 without one.
        above: channels of the coarser level, 0 at the coarsest.
        condition: size of the vector that modulates the blocks.
        depth: number of blocks.
    """

    def __init__(
        self, width: int, entries: int, given: int, features: int, above: int, condition: int, depth: int
    ) -> None:
        super().__init__()
        self.enter = nn.Conv2d(given, width, 1)
        self.features = nn.Sequential(nn.GroupNorm(1, features), nn.Conv2d(features, width, 1)) if features else None
        self.above = nn.Conv2d(above, width, 1) if above else None
        self.blocks = nn.ModuleList(Block(width, condition) for _ in range(depth))
        self.calm = nn.GroupNorm(1, width)  # the sum over the blocks can grow, the logits must not with it
        self.leave = nn.Conv2d(width, entries, 1)
        nn.init.zeros_(self.leave.weight)  # training starts from the prior
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(
        self, given: Tensor, features: Tensor | None, above: Tensor | None, condition: Tensor, size: tuple[int, ...],
        level: int,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        x = self.enter(given)
        if self.features is not None and features is not None:
            x = x + fit(self.features(features), given.shape[2:], size, level)
        if self.above is not None and above is not None:
            # a level has a little less than twice the positions of the coarser one, about the same centre
            finer = F.interpolate(self.above(above), scale_factor=2.0, mode="nearest")
            rows, columns = ((f - g) // 2 for f, g in zip(finer.shape[2:], given.shape[2:], strict=True))
            x = x + finer[:, :, rows : rows + given.shape[2], columns : columns + given.shape[3]]
        for block in self.blocks:
            x = block(x, condition)
        x = self.calm(x)
        return self.leave(x), x


class Decoder(nn.Module):
    """Evidence -> logits ``(B, k)``, and how distortion falls with the rate.

    Arguments:
        levels: number of wavelet levels J.
        channels, strides: of the classifier's feature maps.
        head_size: length of a row of its linear head; 0 without one.
        informed: whether the evidence holds a look at the gradient.
        width: channels at level 2; level 1 has `FINEST_WIDTH`, the coarser ones twice as many.
        condition: size of the vector that carries class and score.
        rates: the grid of rates on which distortion is predicted.
    """

    def __init__(
        self,
        levels: int,
        channels: Sequence[int],
        strides: Sequence[float],
        head_size: int,
        informed: bool,
        width: int = 24,
        condition: int = 64,
        rates: int = 10,
    ) -> None:
        super().__init__()
        self.levels, self.informed, self.has_head = levels, informed, head_size > 0
        # the map whose stride is nearest to the level's, on a log scale
        distance = [[abs(torch.tensor(s).log2().item() - level) for s in strides] for level in range(1, levels + 1)]
        self.sources = [min(range(len(strides)), key=row.__getitem__) if row else -1 for row in distance]
        self.describe = nn.Sequential(
            nn.Linear(head_size + 2, condition), nn.Hardswish(), nn.Linear(condition, condition),
            nn.LayerNorm(condition),
        )  # fmt: skip
        # rows have length 1: large weights, so that a step of Adam, alike in all of them, is small beside the sum
        nn.init.uniform_(self.describe[0].weight, -1.0, 1.0)  # type: ignore[arg-type]
        self.stages = nn.ModuleList()
        above = 0
        for level in range(levels, 0, -1):
            own = FINEST_WIDTH if level == 1 else width if level == 2 else 2 * width
            entries = ORIENTATIONS + (level == levels)
            given = entries * (3 if informed else 1) + 1 + self.has_head
            source = channels[self.sources[level - 1]] if channels else 0
            self.stages.append(Level(own, entries, given, source, above, condition, 1 if level <= 2 else 2))
            above = own
        self.slope = nn.Parameter(torch.full((), 2.0))
        self.bias = nn.Parameter(torch.zeros(levels + 1))  # of the low-pass, and of each level
        coarsest = FINEST_WIDTH if levels == 1 else width if levels == 2 else 2 * width
        self.curve = nn.Sequential(
            nn.Linear(coarsest + condition, condition), nn.Hardswish(), nn.Linear(condition, rates)
        )
        nn.init.constant_(self.curve[-1].bias, -2.5)  # type: ignore[arg-type]  # distortions between 0.8 and 0.1 to begin with

    def forward(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """``(B, k)`` logits and ``(B, rates)`` numbers that `RateCurve` reads."""
        reference, features = evidence.reference, evidence.features
        layout = reference.layout
        size = layout.image_size
        condition = self.describe(self._class(evidence))
        cam = class_map(features, reference.target) if self.has_head else None
        if cam is not None:
            cam = cam / cam.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
        prior, given = self._given(evidence)
        above, summary = None, condition
        logits = [prior] * (self.levels + 1)
        for stage, level in zip(self.stages, range(self.levels, 0, -1), strict=True):
            positions = given[level].shape[2:]
            known = given[level] if level < self.levels else torch.cat([given[level], given[0]], 1)
            if cam is not None:
                known = torch.cat([known, fit(cam, positions, size, level)], 1)
            maps = features.maps[self.sources[level - 1]] if features.maps else None
            known = known.contiguous(memory_format=torch.channels_last)
            out, above = stage(known, maps, above, condition, size, level)
            logits[level] = out[:, :ORIENTATIONS]
            if level == self.levels:
                logits[0] = out[:, ORIENTATIONS]
                summary = torch.cat([above.mean((2, 3)), condition], 1)
        flat = layout.join(logits) + self.slope * prior + self.bias[layout.level]
        return flat, self.curve(summary.detach())  # learning what to expect must not bend the masks

    def _class(self, evidence: Evidence) -> Tensor:
        """What is known of the class: its row of the head, its probability, whether it is the predicted one."""
        reference = evidence.reference
        probability = reference.probabilities.gather(1, reference.target[:, None])
        parts = [probability, reference.predicted[:, None].float()]
        head = evidence.features.head
        if head is not None:
            row = head[reference.target] - head.mean(0)
            parts.append(F.normalize(row, dim=1))
        return torch.cat(parts, 1)

    def _given(self, evidence: Evidence) -> tuple[Tensor, list[Tensor]]:
        """The prior ``(B, k)``, and what the stages see: a list of ``(B, channels, h, w)``, low-pass first."""
        layout = evidence.reference.layout
        energy, spread = loudness(evidence.reference)
        known = [(energy - spread).clamp(min=-7) / 3]  # how much an entry stands out of its group
        if evidence.damage is None:
            prior = standardise(energy)  # magnitude
        else:
            assert evidence.effect is not None
            prior = standardise((evidence.damage + 1e-4 * evidence.damage.mean(1, keepdim=True) + 1e-20).log())
            signed = evidence.effect / evidence.effect.square().mean(1, keepdim=True).add(1e-20).sqrt()
            known += [prior, signed.sign() * signed.abs().log1p()]
        given = []
        for bands in zip(*(layout.split(values) for values in known), strict=True):
            stacked = [band if band.ndim == 4 else band[:, None] for band in bands]  # orientations become channels
            given.append(torch.cat(stacked, 1))
        level = [band.flatten(1)[:, :1, None, None] / 4 for band in layout.split(spread)]  # one number per band
        given[1:] = [
            torch.cat([g, s.expand(-1, 1, *g.shape[2:])], 1) for g, s in zip(given[1:], level[1:], strict=True)
        ]
        return prior, given


def standardise(values: Tensor) -> Tensor:
    """Mean 0 and deviation 1 per image."""
    return (values - values.mean(1, keepdim=True)) / values.std(1, keepdim=True).clamp(min=1e-6)
