"""The network: mask logits for every wavelet level at its own resolution, from coarse to fine."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amortex.predictors.backbone import fit
from amortex.predictors.evidence import Evidence, standardise

FINEST_WIDTH = 8  # channels at level 1, which has three quarters of the positions; coarse levels are cheap, and wide
ORIENTATIONS = 3
TRUST = 0.5  # in the guess beside the look, in the prior


class Block(nn.Module):
    """Residual depthwise convolution and two-layer perceptron, modulated per image."""

    def __init__(self, width: int, inner: int, condition: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm = nn.GroupNorm(1, width, affine=False)
        self.modulate = nn.Linear(condition, 2 * width)
        self.grow = nn.Conv2d(width, inner, 1)
        self.shrink = nn.Conv2d(inner, width, 1)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulate(condition)[:, :, None, None].chunk(2, dim=1)
        y = torch.addcmul(shift, self.norm(self.spread(x)), 1 + scale)
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
        inner: channels within blocks.
        depth: number of blocks.
    """

    def __init__(
        self, width: int, entries: int, given: int, features: int, above: int, condition: int, inner: int, depth: int
    ) -> None:
        super().__init__()
        self.enter = nn.Conv2d(given, width, 1)
        self.features = nn.Sequential(nn.GroupNorm(1, features), nn.Conv2d(features, width, 1)) if features else None
        self.above = nn.Conv2d(above, width, 1) if above else None
        self.blocks = nn.ModuleList(Block(width, inner, condition) for _ in range(depth))
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
        width: channels at level 2; level 1 has `FINEST_WIDTH`, level 3 twice and the coarser ones three times as many.
        condition: size of the vector that carries class and score.
        rates: the grid of rates on which distortion is predicted.
        encoder: makes the feature maps instead of the classifier.
    """

    def __init__(
        self,
        levels: int,
        channels: Sequence[int],
        strides: Sequence[float],
        head_size: int,
        informed: bool,
        width: int = 32,
        condition: int = 64,
        rates: int = 10,
        encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.levels, self.informed, self.has_head = levels, informed, head_size > 0
        # the map whose stride is nearest to the level's, on a log scale
        distance = [[abs(torch.tensor(s).log2().item() - level) for s in strides] for level in range(1, levels + 1)]
        self.sources = [min(range(len(strides)), key=row.__getitem__) if row else -1 for row in distance]
        self.describe = nn.Sequential(
            nn.Linear(head_size + (6 if informed else 3), condition), nn.Hardswish(), nn.Linear(condition, condition),
            nn.LayerNorm(condition),
        )  # fmt: skip
        # rows have length 1: large weights, so that a step of Adam, alike in all of them, is small beside the sum
        nn.init.uniform_(self.describe[0].weight, -1.0, 1.0)  # type: ignore[arg-type]
        self.stages = nn.ModuleList()
        above, summary = 0, condition
        for level in range(levels, 0, -1):
            own = FINEST_WIDTH if level == 1 else width * min(level - 1, 3)
            entries = ORIENTATIONS + (level == levels)
            shared = (1 + 2 * self.has_head) * (1 + (level == levels))
            given = entries * (3 if informed else 1) + shared
            source = channels[self.sources[level - 1]] if channels else 0
            inner, depth = own if level == 1 else 2 * own, 1 if level <= 2 else 2
            self.stages.append(Level(own, entries, given, source, above, condition, inner, depth))
            above = own
            summary += 2 * own
        self.slope = nn.Parameter(torch.full((), 2.0))
        self.bias = nn.Parameter(torch.zeros(levels + 1))  # of the low-pass, and of each level
        # distortion against rate: mostly of what is known in numbers, and at first of nothing else
        self.expect = nn.Linear(6 if informed else 3, condition)
        self.refine = nn.Linear(summary, condition)
        self.curve = nn.Linear(condition, rates)
        nn.init.zeros_(self.refine.weight)
        nn.init.constant_(self.curve.bias, -2.5)  # distortions between 0.8 and 0.1 to begin with

    def forward(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """``(B, k)`` logits and ``(B, rates)`` numbers that `Prediction.curve` is made of."""
        reference, features = evidence.reference, evidence.features
        layout = reference.layout
        size = layout.image_size
        numbers = known_numbers(evidence)
        parts = [numbers]
        if features.head is not None:  # the row of the class
            parts.append(F.normalize(features.head[reference.target], dim=1))
        condition = self.describe(torch.cat(parts, 1))
        prior, given = self.given(evidence)
        maps = features.maps if self.encoder is None else self.encoder(reference.image)
        above, summary = None, [condition]
        logits = [prior] * (self.levels + 1)
        for stage, level in zip(self.stages, range(self.levels, 0, -1), strict=True):
            known = given[level] if level < self.levels else torch.cat([given[level], given[0]], 1)
            map_here = maps[self.sources[level - 1]] if maps else None
            known = known.contiguous(memory_format=torch.channels_last)
            out, above = stage(known, map_here, above, condition, size, level)
            logits[level] = out[:, :ORIENTATIONS]
            if level == self.levels:
                logits[0] = out[:, ORIENTATIONS]
            summary += [above.mean((2, 3)), above.amax((2, 3))]
        flat = layout.join(logits) + self.slope * prior + self.bias[layout.level]
        # what to expect must not bend the masks
        hidden = self.expect(numbers) + self.refine(torch.cat(summary, 1).detach())
        return flat, self.curve(F.hardswish(hidden))

    def given(self, evidence: Evidence) -> tuple[Tensor, list[Tensor]]:
        """The prior ``(B, k)``, and what the stages see: a list of ``(B, channels, h, w)``, low-pass first."""
        layout = evidence.reference.layout
        prior = evidence.guess
        known = [(evidence.energy - evidence.spread).clamp(min=-7) / 3]  # how much an entry stands out of its group
        if evidence.look is not None:
            damage, effect, _ = evidence.look
            damage = standardise((damage + 1e-4 * damage.mean(1, keepdim=True) + 1e-20).log())
            signed = effect / effect.square().mean(1, keepdim=True).add(1e-20).sqrt()
            known += [damage, signed.sign() * signed.abs().log1p()]
            prior = standardise(damage + TRUST * prior)
        shared = [evidence.spread / 4, *([] if evidence.activation is None else evidence.activation.unbind(1))]
        given = []
        for name, *bands in zip(layout.bands, *(layout.split(v) for v in (*known, *shared)), strict=True):
            bands = [band if len(name.shape) == 3 else band[:, None] for band in bands]  # orientations become channels
            given.append(torch.cat(bands[: len(known)] + [band[:, :1] for band in bands[len(known) :]], 1))
        return prior, given


def known_numbers(evidence: Evidence) -> Tensor:
    """``(B, 3)`` of the class's probability, with a look ``(B, 6)`` also of what was left of it there."""
    p = evidence.reference.probabilities.gather(1, evidence.reference.target[:, None])
    numbers = [p, p.square(), (1 - p + 1e-4).log() / 4]
    if evidence.look is not None:
        kept = evidence.look.kept[:, None]
        numbers += [kept.exp(), kept.clamp(min=-12) / 4, p * kept.exp()]
    return torch.cat(numbers, 1)
