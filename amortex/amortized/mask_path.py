"""Masks of every rate for a batch, and the rates among them that measurements choose."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from amortex.amortized.budget import masks_through
from amortex.amortized.config import PathConfig
from amortex.amortized.learned_path import RATES, PathBatch, learned_midpoints
from amortex.amortized.path_optimizer import Learned, optimal_midpoints, path_start
from amortex.amortized.predictor import MaskPredictor, Prediction
from amortex.core.errors import InputError
from amortex.core.masks import energy, log_spaced_rates, top_share
from amortex.explainers.presets import SelectionConfig
from amortex.explainers.rate_search import Bound, lowest_rate, measure
from amortex.rate_distortion.encoded_batch import EncodedBatch


class MaskPath:
    """Masks of every rate: those of a prediction; or through refined masks, and beyond them along densification paths.

    A densification path is computed lazily, once per input, when a mask on it is first asked for.

    Arguments:
        predictor: whose masks they are.
        prediction: of one pass.
        refined: refined masks ``(B, k)``, if there are any.
        hard: masks keep exactly the top share of the entries.
        seed: of the run.
        config: of densification paths.
        selection: how measurements choose a rate.
        decoder: weights (averaged ones) that stand in for the predictor's.

    Raises:
        InputError: learned steps are to take other rates than they are for.
    """

    def __init__(
        self,
        predictor: MaskPredictor,
        prediction: Prediction,
        refined: Tensor | None,
        hard: bool,
        seed: int = 0,
        config: PathConfig | None = None,
        selection: SelectionConfig | None = None,
        decoder: nn.Module | None = None,
    ) -> None:
        self.rd, self.tie_break_weight = predictor.rate_distortion, predictor.schedule.tie_break_weight
        self.prediction, self.refined, self.hard, self.seed = prediction, refined, hard, seed
        self.learned: Any = (decoder or predictor.decoder).path
        self.config, self.selection = config or PathConfig(), selection or SelectionConfig()
        self.learns = self.learned is not None and self.config.learned_steps > 0
        if self.learns and len(self.config.rates) != RATES:
            raise InputError(f"learned steps of a path are for {RATES} rates: give learned_steps=0 for others")
        self.encoded = prediction.encoded
        if refined is not None:
            self._start = path_start(refined.float(), self.config, self.encoded.live)
            self._midpoint, self._optimized = self._start.clone(), self._per_input(0.0).bool()
        self.samples = self.encoded.samples(self.selection.samples)

    def mask(self, rate: Tensor) -> Tensor:
        """Masks ``(B, k)`` of rates ``(B,)``."""
        if not self.hard:
            return self.prediction.mask(rate) if self.refined is None else self._through(self.refined, rate)
        return top_share(self.order, rate, energy(self.encoded.coefficients), self.encoded.live)

    def _through(self, refined: Tensor, rate: Tensor) -> Tensor:
        """Masks ``(B, k)`` of rates ``(B,)`` through `refined` ones, and beyond the start of the path on it."""
        start = self.encoded.rate(self._start)
        beyond = (rate > 1.001 * start) & (rate < 1)
        # towards the full mask the distortion of a class that is not predicted has to rise: no path mends that
        needed = beyond & self.encoded.predicted & (start < self.config.midpoint_rate) & ~self._optimized
        indices = needed.nonzero()[:, 0]
        if len(indices):
            encoded = self.encoded.of(indices)
            with self.rd.classifier.passes_for(indices, of=len(needed)):
                midpoint = self._midpoints(encoded, indices)
            self._midpoint[indices], self._optimized = midpoint, self._optimized | needed
        return masks_through(refined, rate, self._start, self._midpoint, live=self.encoded.live)

    def _midpoints(self, encoded: EncodedBatch, indices: Tensor) -> Tensor:
        """Midpoints ``(N, k)`` of some of the inputs: by learned steps first, if there are any."""
        start = self._start[indices]
        learned = None
        if self.learns:
            evidence, hidden = self.prediction.evidence, self.prediction.hidden
            paths = PathBatch(encoded, evidence.contrast[indices], hidden.of(indices), start.to(encoded.image))
            steps = learned_midpoints(self.learned, self.rd, paths, self.config, self.seed)
            learned = Learned(*(part.to(start) for part in steps))
        return optimal_midpoints(self.rd, encoded, start, self.config, self.seed, learned)

    @property
    def order(self) -> Tensor:
        """What ranks the entries, ``(B, k)``: predicted logits, or refined ones whose ties the predicted ones break."""
        if self.refined is None:
            return self.prediction.logits
        return self.refined.clamp(1e-6, 1 - 1e-6).logit() + self.tie_break_weight * self.prediction.logits

    @property
    def refined_rate(self) -> Tensor:
        """Rates ``(B,)`` of the refined masks."""
        assert self.refined is not None
        return self.encoded.rate(self.refined).nan_to_num(1.0)  # of outputs that are not finite

    def rates(self) -> Tensor:
        """Rates to choose from, ``(B, R)``, rising: evenly spaced on a log scale, and those of the refined masks."""
        rates = log_spaced_rates(self.selection.rates, self.encoded.image.device)
        rates = rates.expand(len(self.encoded.image), -1)
        return rates if self.refined is None else torch.cat([rates, self.refined_rate[:, None]], 1).sort(1).values

    def best_rate(self, lambda_k: float) -> Tensor:
        """The rates ``(B,)`` of lowest ``D + lambda_k * R``; 1 where no distortion is a number."""
        lowest, chosen = self._per_input(math.inf), self._per_input(1.0)
        for column, rate in enumerate(self.rates().unbind(1)):
            promising = lambda_k * rate < lowest  # elsewhere the rate alone costs more than the best so far
            if not bool(promising.any()):
                break
            objective = self._distortion(rate, promising, f"choose {column}") + lambda_k * rate
            better = objective < lowest
            lowest, chosen = torch.where(better, objective, lowest), torch.where(better, rate, chosen)
        return chosen

    def lowest_rate(self, bound: Bound) -> Tensor:
        """The lowest rates ``(B,)`` whose masks hold a bound, else 1."""
        seed, samples = self.seed, self.selection.samples
        return lowest_rate(self.rd, self.encoded, self.rates(), self._masks_of, bound, seed, samples)

    def _distortion(self, rate: Tensor, chosen: Tensor, stream: str) -> Tensor:
        """Mean distortion at rates ``(B,)``; infinite where not `chosen`."""
        mean, draws = self._per_input(math.inf), self.selection.samples
        indices, outcome = measure(self.rd, self.encoded, rate, chosen, self._masks_of, self.seed, stream, draws)
        mean[indices] = outcome.distortion.mean(1).to(mean)
        return mean

    def _masks_of(self, rate: Tensor, indices: Tensor) -> Tensor:
        """Masks ``(N, k)`` of some of the inputs, at rates ``(B,)`` of all."""
        return self.mask(rate)[indices]

    def _per_input(self, value: float) -> Tensor:
        """The same value for each input, ``(B,)``."""
        return torch.full_like(self.prediction.logits[:, 0], value)
