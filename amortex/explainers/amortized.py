"""The amortized explainer: one pass of a trained predictor, and what can be asked of its rate."""

import math

import torch
from torch import Tensor

from amortex.classifiers import digest
from amortex.draws import Draws
from amortex.explainers.base import Explainer, Explanation, OnStep, check_share
from amortex.explainers.rde import RDE, Preset
from amortex.masks import energy, top_share
from amortex.predictors import MaskPredictor, Prediction
from amortex.predictors.predictor import CHOICES, RATES
from amortex.reference import Reference
from amortex.types import InputError

CHOICE_SAMPLES = 16  # noise draws per rate when rates are measured to choose one
CONFIRMATION_SAMPLES = 64  # fresh draws that confirm a bound
LOOKS = 8  # by default
FAINT = 0.02  # refined masks below are zero: they cost rate, and keep nothing


def continued(steps: int) -> Preset:
    """CartoonX from a mask that is nearly right: a high learning rate would throw away what it knows."""
    return Preset("refine", steps, samples=2, lr=2e-2, schedule="cosine")


class Amortized(Explainer):
    """Masks from one pass of a trained `MaskPredictor`.

    The rate is the one given; or the predictor's own guess of what is best for `lambda_k`, from the same pass; or,
    measured on `CHOICE_SAMPLES` draws each, the best of several for `lambda_k` (`measure`), or the lowest
    whose distortion stays below `max_distortion` with the upper end of its 95 % interval. Where none does, the mask
    is full, and the certificate says so.

    Arguments:
        predictor: a trained predictor.
        lambda_k: sparsity weight.
        rate: mean of the mask, exactly.
        hard: keep exactly the top share `rate` of the entries instead of a soft mask of that mean.
        measure: choose the rate for `lambda_k` by measuring.
        max_distortion: bound on the distortion.
        looks: steps of learned refinement at `lambda_k` that continue from the predicted mask, for explainers that
            were trained for it; a forward and a backward pass each. By default `LOOKS` where nothing else is asked for.
        refine: CartoonX steps at `lambda_k` that continue from there.
        seed: of the run.

    Raises:
        InputError: settings out of range, or that exclude each other.
    """

    def __init__(
        self,
        predictor: MaskPredictor,
        lambda_k: float = 5.0,
        rate: float | None = None,
        hard: bool = False,
        measure: bool = False,
        max_distortion: float | None = None,
        looks: int | None = None,
        refine: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(predictor.rate_distortion, seed)
        if sum((rate is not None, measure, max_distortion is not None)) > 1:
            raise InputError("rate, measure and max-distortion each choose the rate: give one of them")
        if rate is not None:
            check_share(rate)
        if max_distortion is not None and not 0 < max_distortion < math.inf:
            raise InputError(f"max-distortion must be above 0 and finite, not {max_distortion}")
        self.asked_looks = looks
        if looks is None:
            chosen = hard or measure or refine or rate is not None or max_distortion is not None
            looks = LOOKS if predictor.decoder.refiner is not None and not chosen else 0
        if min(looks, refine) < 0:
            raise InputError(f"looks and refine are numbers of steps of at least 0, not {min(looks, refine)}")
        if (looks or refine) and (hard or rate is not None or max_distortion is not None):
            raise InputError(
                "refining for lambda_k moves the rate: leave out looks and refine, or hard, rate and max-distortion"
            )
        if looks and predictor.decoder.refiner is None:
            raise InputError("this explainer has learned no refinement (refine_steps in training): leave out looks")
        self.predictor, self.lambda_k, self.rate, self.hard = predictor, lambda_k, rate, hard
        self.measure, self.max_distortion, self.looks, self.refine = measure, max_distortion, looks, refine
        self.refinement = continued(max(1, refine))
        RDE(self.rate_distortion, lambda_k, self.refinement)  # refuses a lambda_k out of range
        self.steps = max(1, looks + refine)

    def for_target(self) -> "Amortized":
        """The same for classes that need not be the predicted ones, which alone rates and refinement are learned for.

        The rate is measured, unless it is given.

        Raises:
            InputError: looks are asked for.
        """
        if self.asked_looks:
            raise InputError("refinement is learned for predicted classes: with a target, leave out looks")
        measure = self.rate is None and self.max_distortion is None
        arguments = (self.predictor, self.lambda_k, self.rate, self.hard, measure, self.max_distortion)
        return Amortized(*arguments, looks=0, refine=self.refine, seed=self.seed)

    @torch.no_grad()
    def _start(self, image: Tensor, target: Tensor | None, on_step: OnStep) -> Explanation:
        """Class and mask come from one pass over the classifier."""
        draws = Draws.of(image, self.seed, "look") if self.predictor.gradient else None
        return self._finish(self.predictor(image, target, draws), on_step)

    def _explain(self, reference: Reference, draws: Draws, on_step: OnStep) -> Explanation:
        raise NotImplementedError("an amortized explainer looks at images, not at references")

    def _finish(self, prediction: Prediction, on_step: OnStep) -> Explanation:
        reference = prediction.reference
        rate, passes = self._rate(prediction)
        mask = relevance = self._mask(prediction, rate)
        if self.hard:
            relevance = prediction.mask(rate)
        if self.looks:
            draws = Draws.of(reference.image, self.seed, "refine")
            start = mask if self.measure else None
            relevance = self.predictor.refine(prediction, self.lambda_k, self.looks, draws, start, on_step)
            mask = relevance.masked_fill(relevance < FAINT, 0)
            passes += 3 * self.looks
        if self.refine:
            draws = Draws.of(reference.image, self.seed, "optimise")
            cartoonx = RDE(self.rate_distortion, self.lambda_k, self.refinement, mask)
            optimised = cartoonx._explain(reference, draws, lambda step, now: on_step(self.looks + step, now))
            mask, relevance = optimised.mask, optimised.relevance
            passes += 3 * self.refinement.samples * self.refine
        if not self.looks + self.refine:
            on_step(1, mask)
        passes += self.predictor.passes
        extra = {"passes": torch.full_like(rate, passes)}
        return Explanation(reference, mask, relevance, extra=extra)

    def _mask(self, prediction: Prediction, rate: Tensor) -> Tensor:
        if not self.hard:
            return prediction.mask(rate)
        ties = energy(prediction.reference.coefficients)
        rows = zip(prediction.logits.split(1), rate.tolist(), ties.split(1), strict=True)
        return torch.cat([top_share(logits, one, tie) for logits, one, tie in rows])

    def _rate(self, prediction: Prediction) -> tuple[Tensor, int]:
        """Rates ``(B,)``, and the classifier passes per image that choosing them took."""
        count = len(prediction.logits)
        if self.rate is not None:
            return prediction.logits.new_full((count,), self.rate), 0
        if not self.measure and self.max_distortion is None:
            return prediction.rate_for(self.lambda_k), 0
        rates = torch.logspace(math.log10(RATES[0]), 0, CHOICES // 4, device=prediction.logits.device)
        draws = Draws.of(prediction.reference.image, self.seed, "choose")
        means, bounds = [], []
        for rate in rates:
            mask = self._mask(prediction, rate.expand(count))
            outcome = self.rate_distortion(prediction.reference, mask, draws, CHOICE_SAMPLES)
            means.append(outcome.distortion.mean(1))
            bounds.append(means[-1] if prediction.reference.scale is None else outcome.interval()[1])
        passes = CHOICE_SAMPLES * len(rates)
        if self.max_distortion is None:
            return rates[(torch.stack(means, 1) + self.lambda_k * rates).argmin(1)], passes
        below = torch.stack(bounds, 1) < self.max_distortion
        choice = torch.where(below.any(1), below.to(torch.uint8).argmax(1), len(rates) - 1)
        while True:  # the best of many is partly luck: confirm it on fresh draws, or go one rate up
            outcome = self.rate_distortion(
                prediction.reference, self._mask(prediction, rates[choice]), draws, CONFIRMATION_SAMPLES
            )
            passes += CONFIRMATION_SAMPLES
            high = outcome.distortion.mean(1) if prediction.reference.scale is None else outcome.interval()[1]
            above = (high >= self.max_distortion) & (choice < len(rates) - 1)
            if not bool(above.any()):
                return rates[choice], passes
            choice = choice + above.long()

    def settings(self) -> dict[str, str | int | float]:
        unused = self.rate is not None or self.max_distortion is not None
        chosen = {
            "decoder": digest(self.predictor.decoder), "lambda_k": None if unused else self.lambda_k,
            "rate": self.rate, "hard": int(self.hard), "measure": int(self.measure),
            "max_distortion": self.max_distortion, "looks": self.looks, "refine": self.refine,
        }  # fmt: skip
        return {**super().settings(), **{key: value for key, value in chosen.items() if value is not None}}
