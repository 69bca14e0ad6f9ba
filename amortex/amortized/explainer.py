"""The amortized explainer: one pass of a trained predictor, learned refinement, and what can be asked of the rate."""

import math

import torch
from torch import Tensor

from amortex.amortized.predictor import path_optimizer as way
from amortex.amortized.mask_path import NUDGE, Trace
from amortex.amortized.predictor import AMPLE, SETTLED, MaskPredictor, Prediction
from amortex.amortized.refiner import HASTE
from amortex.classifiers.classifier import digest
from amortex.core.errors import InputError
from amortex.core.noise_streams import Draws
from amortex.explainers.base import Explainer, Explanation, OnStep, check_share
from amortex.explainers.rde import RDE, Preset
from amortex.rate_distortion.encoded_batch import Reference

LOOKS = 8  # by default
FAINT = 0.02  # refined masks below are zero: they cost rate, and keep nothing


def continued(steps: int) -> Preset:
    """CartoonX from a mask that is nearly right: a high learning rate would throw away what it knows."""
    return Preset("refine", steps, samples=2, lr=2e-2, schedule="cosine")


class Amortized(Explainer):
    """Masks from one pass of a trained `MaskPredictor`, and from steps of learned refinement that continue from it.

    Where nothing is asked of the rate, it is where `lambda_k` has it: refinement moves it there, and one pass has the
    predictor's own guess. Otherwise it is the one given; or, of several that are measured on noise, the best for
    `lambda_k` (`measure`), or the lowest whose distortion stays below `max_distortion` with the upper end of its 95 %
    interval. Where none does, the mask is full, and the certificate says so. Masks beyond a rate of `way.START` that go
    through refined ones take more classifier passes, at least `way.PASSES`. See `Trace`.

    Arguments:
        predictor: a trained predictor.
        lambda_k: sparsity weight.
        rate: mean of the mask, exactly.
        hard: keep exactly the top share `rate` of the entries instead of a soft mask of that mean.
        measure: choose the rate for `lambda_k` by measuring.
        max_distortion: bound on the distortion.
        looks: steps of learned refinement at `lambda_k` that continue from the predicted mask, for explainers that
            were trained for it; a forward and a backward pass each. By default `LOOKS` where they were learned.
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
            looks = 0 if predictor.decoder.refiner is None else LOOKS
        if min(looks, refine) < 0:
            raise InputError(f"looks and refine are numbers of steps of at least 0, not {min(looks, refine)}")
        if refine and (hard or rate is not None or max_distortion is not None):
            raise InputError("CartoonX steps move the rate: leave out refine, or hard, rate and max-distortion")
        if looks and predictor.decoder.refiner is None:
            raise InputError(
                "this explainer has learned no refinement (configs/experiment/refine.yaml): leave out looks"
            )
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
        if self.rate_distortion.batch_invariant and len(image) > 1:
            return self._one_by_one(image, target, on_step)
        draws = Draws.of(image, self.seed, "look") if self.predictor.gradient else None
        return self._finish(self.predictor(image, target, draws), on_step)

    def _one_by_one(self, image: Tensor, target: Tensor | None, on_step: OnStep) -> Explanation:
        """The decoder's libraries, too, choose their kernels by the size of the batch."""
        targets = [None] * len(image) if target is None else target.split(1)
        steps: list[OnStep] = [*[lambda step, mask: None] * (len(image) - 1), on_step]
        parts = [self._start(*one) for one in zip(image.split(1), targets, steps, strict=True)]
        mask, relevance, passes = (
            torch.cat(values) for values in zip(*((p.mask, p.relevance, p.extra["passes"]) for p in parts), strict=True)
        )
        return Explanation(self.rate_distortion.reference(image, target), mask, relevance, extra={"passes": passes})

    def _explain(self, reference: Reference, draws: Draws, on_step: OnStep) -> Explanation:
        raise NotImplementedError("an amortized explainer looks at images, not at references")

    def _finish(self, prediction: Prediction, on_step: OnStep) -> Explanation:
        reference, refined = prediction.reference, None
        passes = prediction.curve.new_full((len(prediction.curve),), self.predictor.passes + 3 * self.looks)
        if self.looks:
            draws = Draws.of(reference.image, self.seed, "refine")
            refined = self.predictor.refine(prediction, self.lambda_k, self.looks, draws, on_step=on_step)
        trace = Trace(self.rate_distortion, prediction, refined, self.hard, self.seed)
        if refined is not None and not (self.hard or self._chosen):
            mask = refined.masked_fill(refined < FAINT, 0)
        else:
            mask = trace.mask(self._rate(trace))
        passes += trace.passes
        relevance = trace.order.sigmoid()
        if self.refine:
            draws = Draws.of(reference.image, self.seed, "optimise")
            cartoonx = RDE(self.rate_distortion, self.lambda_k, self.refinement, mask)
            optimised = cartoonx._explain(reference, draws, lambda step, now: on_step(self.looks + step, now))
            mask, relevance = optimised.mask, optimised.relevance
            passes = passes + 3 * reference.samples(self.refinement.samples) * self.refine
        if not self.looks + self.refine:
            on_step(1, mask)
        return Explanation(reference, mask, relevance, extra={"passes": passes})

    @property
    def _chosen(self) -> bool:
        """Whether the rate is another than the one that lambda_k leads to by itself."""
        return self.measure or self.rate is not None or self.max_distortion is not None

    def _rate(self, trace: Trace) -> Tensor:
        """Rates ``(B,)``."""
        if self.rate is not None:
            return torch.full_like(trace.passes, self.rate)
        if self.max_distortion is not None:
            return trace.below(self.max_distortion)
        if self.measure:
            return trace.best(self.lambda_k)
        return trace.prediction.rate_for(self.lambda_k) if trace.refined is None else trace.own

    def settings(self) -> dict[str, str | int | float]:
        unused = not self.looks and (self.rate is not None or self.max_distortion is not None)
        chosen = {
            "decoder": digest(self.predictor.decoder), "lambda_k": None if unused else self.lambda_k,
            "rate": self.rate, "hard": int(self.hard), "measure": int(self.measure),
            "max_distortion": self.max_distortion, "looks": self.looks, "refine": self.refine,
            "schedule": f"{AMPLE:g} {HASTE:g} {SETTLED} {FAINT:g} {NUDGE:g}" if self.looks else None,  # of the looks
            "way": way.KEY if self.looks and self._chosen and not self.hard else None,
            "choice": "rising" if self.measure or self.max_distortion is not None else None,
        }  # fmt: skip
        return {**super().settings(), **{key: value for key, value in chosen.items() if value is not None}}
