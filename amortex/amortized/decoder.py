"""The network: mask logits for every wavelet level at its own resolution, from coarse to fine."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amortex.amortized.blocks import ORIENTATIONS, Level, width_at
from amortex.amortized.evidence import Evidence, signals, standardise
from amortex.amortized.refiner import Hidden, Refiner

TRUST = 0.5  # in the guess beside the look, in the prior


class Decoder(nn.Module):
    """Evidence -> logits ``(B, k)``, and how distortion falls with the rate.

    Arguments:
        levels: number of wavelet levels J.
        channels, strides: of the classifier's feature maps.
        head_size: length of a row of its linear head; 0 without one.
        informed: whether the evidence holds a look at the gradient.
        width: channels at level 2 (see `width_at`).
        condition: size of the vector that carries class and score.
        rates: the grid of rates on which distortion is predicted.
        encoder: makes the feature maps instead of the classifier.
        refiner: whether there is a `Refiner`, too.
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
        refiner: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.refiner = Refiner(levels, width, condition) if refiner else None
        self.levels, self.informed, self.has_head = levels, informed, head_size > 0
        # the map whose stride is nearest to the level's, on a log scale
        distance = [[abs(torch.tensor(s).log2().item() - level) for s in strides] for level in range(1, levels + 1)]
        self.sources = [min(range(len(strides)), key=row.__getitem__) if row else -1 for row in distance]
        self.embed = nn.Sequential(
            nn.Linear(head_size + (6 if informed else 3), condition), nn.Hardswish(), nn.Linear(condition, condition),
            nn.LayerNorm(condition),
        )  # fmt: skip
        # rows have length 1: large weights, so that a step of Adam, alike in all of them, is small beside the sum
        nn.init.uniform_(self.embed[0].weight, -1.0, 1.0)  # type: ignore[arg-type]
        self.stages = nn.ModuleList()
        above, summary = 0, condition
        for level in range(levels, 0, -1):
            own = width_at(level, width)
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
        self.curve_stem = nn.Linear(6 if informed else 3, condition)
        self.curve_head = nn.Linear(summary, condition)
        self.curve = nn.Linear(condition, rates)
        nn.init.zeros_(self.curve_head.weight)
        nn.init.constant_(self.curve.bias, -2.5)  # distortions between 0.8 and 0.1 to begin with

    def forward(self, evidence: Evidence) -> tuple[Tensor, Tensor, Hidden]:
        """``(B, k)`` logits, ``(B, rates)`` numbers that `Prediction.curve` is made of, and what the refiner uses."""
        encoded, features = evidence.encoded, evidence.features
        layout = encoded.layout
        size = layout.size
        numbers = known_numbers(evidence)
        parts = [numbers]
        if features.head is not None:  # the row of the class
            parts.append(F.normalize(features.head[encoded.target], dim=1))
        condition = self.embed(torch.cat(parts, 1))
        prior, given = self.given(evidence)
        maps = features.maps if self.encoder is None else self.encoder(encoded.image)
        above, stages, summary = None, [], [condition]
        logits = [prior] * (self.levels + 1)
        for stage, level in zip(self.stages, range(self.levels, 0, -1), strict=True):
            known = given[level] if level < self.levels else torch.cat([given[level], given[0]], 1)
            map_here = maps[self.sources[level - 1]] if maps else None
            known = known.contiguous(memory_format=torch.channels_last)
            out, above = stage(known, map_here, above, condition, size, level)
            logits[level] = out[:, :ORIENTATIONS]
            if level == self.levels:
                logits[0] = out[:, ORIENTATIONS]
            stages.append(above)
            summary += [above.mean((2, 3)), above.amax((2, 3))]
        flat = layout.join(logits) + self.slope * prior + self.bias[layout.level]
        # what to expect must not bend the masks
        expected = self.curve_stem(numbers) + self.curve_head(torch.cat(summary, 1).detach())
        return flat, self.curve(F.hardswish(expected)), Hidden(condition, tuple(stages))

    def given(self, evidence: Evidence) -> tuple[Tensor, list[Tensor]]:
        """The prior ``(B, k)``, and what the stages see: a list of ``(B, channels, h, w)``, low-pass first."""
        layout = evidence.encoded.layout
        prior = evidence.guess
        known = [evidence.contrast]
        if evidence.probe is not None:
            damage, effect = signals(evidence.probe)
            known += [damage, effect]
            prior = standardise(damage + TRUST * prior)
        shared = [evidence.spread / 4, *([] if evidence.activation is None else evidence.activation.unbind(1))]
        given = []
        for name, *bands in zip(layout.bands, *(layout.split(v) for v in (*known, *shared)), strict=True):
            bands = [band if len(name.shape) == 3 else band[:, None] for band in bands]  # orientations become channels
            given.append(torch.cat(bands[: len(known)] + [band[:, :1] for band in bands[len(known) :]], 1))
        return prior, given


def known_numbers(evidence: Evidence) -> Tensor:
    """``(B, 3)`` of the class's probability, with a look ``(B, 6)`` also of what was left of it there."""
    p = evidence.encoded.probabilities.gather(1, evidence.encoded.target[:, None])
    numbers = [p, p.square(), (1 - p + 1e-4).log() / 4]
    if evidence.probe is not None:
        kept = evidence.probe.log_probability[:, None]
        numbers += [kept.exp(), kept.clamp(min=-12) / 4, p * kept.exp()]
    return torch.cat(numbers, 1)
