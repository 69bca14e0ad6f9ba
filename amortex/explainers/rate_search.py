"""The sparsest masks that hold a bound, of masks of rising rates."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.masks import energy, log_spaced_rates, top_share
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import Explainer, Explanation, OnStep
from amortex.explainers.presets import SelectionConfig
from amortex.rate_distortion import CONFIDENCE
from amortex.rate_distortion.encoded_batch import EncodedBatch, Outcome
from amortex.rate_distortion.intervals import clopper_pearson
from amortex.rate_distortion.pipeline import RateDistortion

HIGHEST_RETENTION = 0.999  # what lies between it and 1 takes tens of thousands of draws to show

Masks = Callable[[Tensor, Tensor], Tensor]  # rates (B,) and indices (N,) of inputs -> their masks (N, k)


class Bound(ABC):
    """What a mask has to hold."""

    @property
    @abstractmethod
    def confirmation_samples(self) -> int:
        """Draws that show it."""

    @abstractmethod
    def promises(self, outcome: Outcome, random: bool) -> Tensor:
        """Whether a few draws promise it, ``(B,)``; `random`: whether the obfuscation is."""

    @abstractmethod
    def holds(self, outcome: Outcome, random: bool) -> Tensor:
        """Whether draws show it with confidence, ``(B,)``."""


@dataclass(frozen=True)
class MaxDistortion(Bound):
    """The upper end of the distortion's 95 % interval is below `value`.

    Arguments:
        value: the bound.
        confirmation_samples: draws that show it.

    Raises:
        InputError: no such distortion.
    """

    value: float
    confirmation_samples: int = SelectionConfig.confirmation_samples

    def __post_init__(self) -> None:
        if not 0 < self.value < math.inf:
            raise InputError(f"max-distortion must be above 0 and finite, not {self.value}")

    def holds(self, outcome: Outcome, random: bool) -> Tensor:
        high = outcome.interval()[1] if random else outcome.distortion.mean(1)
        return high < self.value

    promises = holds


@dataclass(frozen=True)
class MinRetention(Bound):
    """The lower end of the retention's 95 % interval (Clopper-Pearson) is at least `value`.

    Raises:
        InputError: no such share, or one that takes too many draws to show.
    """

    value: float

    def __post_init__(self) -> None:
        if not 0 < self.value <= HIGHEST_RETENTION:
            raise InputError(f"min-retention must be above 0 and at most {HIGHEST_RETENTION}, not {self.value}")

    @property
    def confirmation_samples(self) -> int:
        return retention_samples(self.value)

    def promises(self, outcome: Outcome, random: bool) -> Tensor:
        # a standard error below is no refusal
        error = math.sqrt(self.value * (1 - self.value) / outcome.kept.shape[1])
        return outcome.kept.float().mean(1) >= self.value - error

    def holds(self, outcome: Outcome, random: bool) -> Tensor:
        if not random:
            return outcome.kept[:, 0]
        return clopper_pearson(outcome.kept.sum(1), outcome.kept.shape[1])[0] >= self.value


def retention_samples(value: float) -> int:
    """Draws that show a retention of `value`: 256, or twice those that show it where not one fails."""
    return max(256, 2 * math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(value)))


def lowest_rate(
    rd: RateDistortion,
    encoded: EncodedBatch,
    rates: Tensor,
    masks: Masks,
    bound: Bound,
    seed: int,
    samples: int = SelectionConfig.samples,
) -> Tensor:
    """The lowest of rising `rates` ``(B, R)`` whose mask holds a bound, ``(B,)``; 1 where none does.

    Arguments:
        rd: measures the masks.
        encoded: the inputs.
        rates: the last ones are 1, and not measured.
        masks: see `Masks`.
        bound: to hold.
        seed: of the run.
        samples: draws per mask; where they promise the bound, fresh draws have to show it.
    """
    random = encoded.scale is not None
    chosen, pending = torch.ones_like(rates[:, 0]), torch.ones_like(rates[:, 0], dtype=torch.bool)

    def passing(check: Callable[[Outcome, bool], Tensor], rate: Tensor, of: Tensor, stream: str, draws: int) -> Tensor:
        passed = torch.zeros_like(of)
        if bool(of.any()):
            indices, outcome = measure(rd, encoded, rate, of, masks, seed, stream, draws)
            passed[indices] = check(outcome, random)
        return passed

    for column, rate in enumerate(rates[:, :-1].unbind(1)):
        promising = passing(bound.promises, rate, pending, f"choose {column}", samples)
        # the best of many is partly luck: confirm it on fresh draws
        confirmed = passing(bound.holds, rate, promising, f"confirm {column}", bound.confirmation_samples)
        chosen, pending = torch.where(confirmed, rate, chosen), pending & ~confirmed
    return chosen


def measure(
    rd: RateDistortion,
    encoded: EncodedBatch,
    rate: Tensor,
    of: Tensor,
    masks: Masks,
    seed: int,
    stream: str,
    draws: int,
) -> tuple[Tensor, Outcome]:
    """Measure masks of rates ``(B,)`` for some of the inputs, `of` ``(B,)`` bool, at least one: indices and outcome."""
    indices = of.nonzero()[:, 0]
    part, mask = encoded.of(indices), masks(torch.where(of, rate, 0.0), indices)
    with rd.classifier.passes_for(indices, of=len(of)):
        return indices, rd(part, mask, NoiseStreams.of(part.image, seed, stream), encoded.samples(draws))


class Retaining(Explainer):
    """The explanations of another explainer, with the sparsest masks that keep the class in nearly all draws.

    The masks keep the top share of its ranking: the lowest of 16 rates from 0.5 % on at which fresh draws show the
    retention. Each rate has its own 5 % chance of error, so the certificate, on draws of its own, has the last word.
    Where no rate will do, the mask is full.

    Arguments:
        explainer: makes the ranking.
        min_retention: bound on the retention, see `MinRetention`.

    Raises:
        InputError: no such bound.
    """

    def __init__(self, explainer: Explainer, min_retention: float) -> None:
        super().__init__(explainer.rate_distortion, explainer.seed)
        self.explainer, self.bound, self.steps = explainer, MinRetention(min_retention), explainer.steps
        self.certificate_samples = self.bound.confirmation_samples

    def _start(self, image: Tensor, target: Tensor | None, on_step: OnStep) -> Explanation:
        explanation = self.explainer._start(image, target, on_step)
        encoded, relevance = explanation.encoded, explanation.relevance
        tie_break = energy(encoded.coefficients)

        def top(rate: Tensor, indices: Tensor) -> Tensor:
            live = None if encoded.live is None else encoded.live[indices]
            return top_share(relevance[indices], rate[indices], tie_break[indices], live)

        rates = log_spaced_rates(SelectionConfig.rates, image.device).expand(len(image), -1)
        rate = lowest_rate(self.rate_distortion, encoded, rates, top, self.bound, self.seed)
        return replace(explanation, mask=top(rate, torch.arange(len(image))), extra={})  # which is about other masks

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        raise NotImplementedError("the other explainer has its own start")

    def for_target(self) -> "Retaining":
        return Retaining(self.explainer.for_target(), self.bound.value)

    def settings(self) -> dict[str, str | int | float]:
        selection = repr(SelectionConfig())
        return {**self.explainer.settings(), "min_retention": self.bound.value, "selection": selection}
