"""The network: mask logits for every wavelet level at its own resolution, from coarse to fine."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amortex.amortized.blocks import Level, width_at
from amortex.amortized.config import PredictorConfig
from amortex.amortized.evidence import Evidence, signals, standardise
from amortex.amortized.learned_path import MidpointRefiner
from amortex.amortized.moves import Hidden
from amortex.amortized.refiner import Refiner
from amortex.core.nd import channels_last, spatial_axes, spatial_max

PRIOR_WEIGHT = 0.5  # of the prior beside the damage that the gradient probe finds


class Decoder(nn.Module):
    """Evidence -> logits ``(B, k)``, and how distortion falls with the rate.

    Arguments:
        levels: number of wavelet levels J.
        dims: number of spatial axes.
        channels, strides: of the classifier's feature maps.
        head_size: length of a row of its linear head; 0 without one.
        config: of the predictor: whether there is a gradient probe, and the sizes of the network.
        rates: number of rates at which distortion is predicted.
        encoder: makes the feature maps instead of the classifier.
        refiner: whether there is a `Refiner`, too,
        path: and a `MidpointRefiner`.
    """

    def __init__(
        self,
        levels: int,
        dims: int,
        channels: Sequence[int],
        strides: Sequence[float],
        head_size: int,
        config: PredictorConfig,
        rates: int,
        encoder: nn.Module | None = None,
        refiner: bool = False,
        path: bool = False,
    ) -> None:
        super().__init__()
        width, condition = config.width, config.condition
        self.encoder = encoder
        self.refiner = Refiner(levels, dims, width, condition) if refiner else None
        self.path = MidpointRefiner(levels, dims, width, condition) if path else None
        self.levels, self.dims, self.orientations = levels, dims, 2**dims - 1
        # for each level, from 1, the map whose stride is nearest to its own, on a log scale
        distances = [[abs(math.log2(stride) - level) for stride in strides] for level in range(1, levels + 1)]
        self.sources = [min(range(len(strides)), key=row.__getitem__) if row else -1 for row in distances]
        numbers, signals_per_entry = (6, 3) if config.gradient else (3, 1)
        self.embed = nn.Sequential(
            nn.Linear(head_size + numbers, condition), nn.Hardswish(), nn.Linear(condition, condition),
            nn.LayerNorm(condition),
        )  # fmt: skip
        # rows are unit-norm; a large initialisation keeps early Adam steps relatively small
        nn.init.uniform_(self.embed[0].weight, -1.0, 1.0)  # type: ignore[arg-type]
        self.stages = nn.ModuleList()
        above, summary = 0, condition
        for level in range(levels, 0, -1):
            channels_here, coarsest = width_at(level, width), level == levels
            entries = self.orientations + coarsest
            shared = (3 if head_size else 1) * (1 + coarsest)
            source = channels[self.sources[level - 1]] if channels else 0
            inner, depth = channels_here if level == 1 else 2 * channels_here, 1 if level <= 2 else 2
            given = entries * signals_per_entry + shared
            self.stages.append(Level(dims, channels_here, entries, given, source, above, condition, inner, depth))
            above = channels_here
            summary += 2 * channels_here
        self.slope = nn.Parameter(torch.full((), 2.0))
        self.bias = nn.Parameter(torch.zeros(levels + 1))  # of the low-pass, and of each level
        # distortion against rate: mostly a matter of the class's statistics, and at first of nothing else
        self.curve_stem = nn.Linear(numbers, condition)
        self.curve_head = nn.Linear(summary, condition)
        self.curve = nn.Linear(condition, rates)
        nn.init.zeros_(self.curve_head.weight)
        nn.init.constant_(self.curve.bias, -2.5)  # distortions between 0.8 and 0.1 to begin with

    def forward(self, evidence: Evidence) -> tuple[Tensor, Tensor, Hidden]:
        """``(B, k)`` logits, ``(B, rates)`` numbers that `Prediction.curve` is made of, and what the refiner uses."""
        encoded, features = evidence.encoded, evidence.features
        layout = encoded.layout
        statistics = class_statistics(evidence)
        parts = [statistics]
        if features.head is not None:  # the row of the class
            parts.append(F.normalize(features.head[encoded.target], dim=1))
        condition = self.embed(torch.cat(parts, 1))
        prior, given = self.inputs(evidence)
        maps = features.maps if self.encoder is None else self.encoder(encoded.image)
        above, stages, summary = None, [], [condition]
        logits = [prior] * (self.levels + 1)
        for stage, level in zip(self.stages, range(self.levels, 0, -1), strict=True):
            known = given[level] if level < self.levels else torch.cat([given[level], given[0]], 1)
            feature_map = maps[self.sources[level - 1]] if maps else None
            out, above = stage(channels_last(known), feature_map, above, condition, layout.size, level)
            logits[level] = out[:, : self.orientations]
            if level == self.levels:
                logits[0] = out[:, self.orientations]
            stages.append(above)
            summary += [above.mean(spatial_axes(self.dims)), spatial_max(above)]
        flat = layout.join(logits) + self.slope * prior + self.bias[layout.level]
        # detached: what distortion to expect must not shape the masks
        expected = self.curve_stem(statistics) + self.curve_head(torch.cat(summary, 1).detach())
        return flat, self.curve(F.hardswish(expected)), Hidden(condition, tuple(stages))

    def inputs(self, evidence: Evidence) -> tuple[Tensor, list[Tensor]]:
        """The prior ``(B, k)``, and a list of what the stages see, ``(B, channels, *positions)``, low-pass first."""
        layout = evidence.encoded.layout
        prior = evidence.prior
        known = [evidence.contrast]
        if evidence.probe is not None:
            damage, effect = signals(evidence.probe.damage, evidence.probe.effect, evidence.encoded.live)
            known += [damage, effect]
            prior = standardise(damage + PRIOR_WEIGHT * prior, evidence.encoded.live)
        # the same for all orientations
        shared = [evidence.spread / 4, *([] if evidence.activation is None else evidence.activation.unbind(1))]
        given = []
        for band, *parts in zip(layout.bands, *(layout.split(values) for values in (*known, *shared)), strict=True):
            if len(band.shape) == self.dims:  # the low-pass has no orientations, which become channels
                parts = [part[:, None] for part in parts]
            given.append(torch.cat(parts[: len(known)] + [part[:, :1] for part in parts[len(known) :]], 1))
        return prior, given


def class_statistics(evidence: Evidence) -> Tensor:
    """``(B, 3)`` of the class's probability; with a gradient probe ``(B, 6)``, also of its probability there."""
    p = evidence.encoded.probabilities.gather(1, evidence.encoded.target[:, None])
    statistics = [p, p.square(), (1 - p + 1e-4).log() / 4]
    if evidence.probe is not None:
        log_probability = evidence.probe.log_probability[:, None]
        q = log_probability.exp()
        statistics += [q, log_probability.clamp(min=-12) / 4, p * q]
    return torch.cat(statistics, 1)
