"""The amortized explainer: one pass of a trained predictor, learned refinement, and what can be asked of the rate."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from amortex.amortized import path_optimizer
from amortex.amortized.mask_path import TIE_BREAK_WEIGHT, MaskPath
from amortex.amortized.predictor import AVERAGED_TAIL, INITIAL_RATE_FACTOR, MaskPredictor, Prediction
from amortex.amortized.refiner import INITIAL_LAMBDA_SCALE
from amortex.classifiers.classifier import digest
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import Explainer, Explanation, OnStep, check_share
from amortex.explainers.presets import Preset
from amortex.explainers.rde import RDE
from amortex.rate_distortion.encoded_batch import EncodedBatch

DEFAULT_LEARNED_STEPS = 8  # by default
PRUNE_THRESHOLD = 0.02  # refined masks below are zero: they cost rate, and keep nothing


def continued(steps: int) -> Preset:
    """CartoonX from a mask that is nearly right: a high learning rate would throw away what it knows."""
    return Preset("refine", steps, samples=2, lr=2e-2, schedule="cosine")


class Amortized(Explainer):
    """Masks from one pass of a trained `MaskPredictor`, and from steps of learned refinement that continue from it.

    Where nothing is asked of the rate, it is where `lambda_k` has it: refinement moves it there, and one pass has the
    predictor's own guess. Otherwise it is the one given; or, of several that are measured on noise, the best for
    `lambda_k` (`select_rate`), or the lowest whose distortion stays below `max_distortion` with the upper end of its 95 %
    interval. Where none does, the mask is full, and the certificate says so. Masks beyond a rate of `path_optimizer.START` that go
    through refined ones take hundreds of classifier passes more (`path_optimizer`). See `MaskPath`.

    Arguments:
        predictor: a trained predictor.
        lambda_k: sparsity weight.
        rate: mean of the mask, exactly.
        hard: keep exactly the top share `rate` of the entries instead of a soft mask of that mean.
        select_rate: choose the rate for `lambda_k` by measuring.
        max_distortion: bound on the distortion.
        learned_steps: steps of learned refinement at `lambda_k` that continue from the predicted mask, for explainers that
            were trained for it; a forward and a backward pass each. By default `DEFAULT_LEARNED_STEPS` where they were learned.
        finetune_steps: CartoonX steps at `lambda_k` that continue from there.
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
        select_rate: bool = False,
        max_distortion: float | None = None,
        learned_steps: int | None = None,
        finetune_steps: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(predictor.rate_distortion, seed)
        if sum((rate is not None, select_rate, max_distortion is not None)) > 1:
            raise InputError("rate, select-rate and max-distortion each choose the rate: give one of them")
        if rate is not None:
            check_share(rate)
        if max_distortion is not None and not 0 < max_distortion < math.inf:
            raise InputError(f"max-distortion must be above 0 and finite, not {max_distortion}")
        self.asked_learned_steps = learned_steps
        if learned_steps is None:
            learned_steps = 0 if predictor.decoder.refiner is None else DEFAULT_LEARNED_STEPS
        if min(learned_steps, finetune_steps) < 0:
            raise InputError(
                f"looks and refine are numbers of steps of at least 0, not {min(learned_steps, finetune_steps)}"
            )
        if finetune_steps and (hard or rate is not None or max_distortion is not None):
            raise InputError("CartoonX steps move the rate: leave out refine, or hard, rate and max-distortion")
        if learned_steps and predictor.decoder.refiner is None:
            raise InputError(
                "this explainer has learned no refinement (configs/experiment/refine.yaml): leave out looks"
            )
        self.predictor, self.lambda_k, self.rate, self.hard = predictor, lambda_k, rate, hard
        self.select_rate, self.max_distortion, self.learned_steps, self.finetune_steps = (
            select_rate,
            max_distortion,
            learned_steps,
            finetune_steps,
        )
        self.refinement = continued(max(1, finetune_steps))
        RDE(self.rate_distortion, lambda_k, self.refinement)  # refuses a lambda_k out of range
        self.steps = max(1, learned_steps + finetune_steps)

    def for_target(self) -> "Amortized":
        """The same for classes that need not be the predicted ones, which alone rates and refinement are learned for.

        The rate is measured, unless it is given.

        Raises:
            InputError: looks are asked for.
        """
        if self.asked_learned_steps:
            raise InputError("refinement is learned for predicted classes: with a target, leave out looks")
        select_rate = self.rate is None and self.max_distortion is None
        arguments = (self.predictor, self.lambda_k, self.rate, self.hard, select_rate, self.max_distortion)
        return Amortized(*arguments, learned_steps=0, finetune_steps=self.finetune_steps, seed=self.seed)

    @torch.no_grad()
    def _start(self, image: Tensor, target: Tensor | None, on_step: OnStep) -> Explanation:
        """Class and mask come from one pass over the classifier."""
        if self.rate_distortion.batch_invariant and len(image) > 1:
            return self._one_by_one(image, target, on_step)
        streams = NoiseStreams.of(image, self.seed, "look") if self.predictor.gradient else None
        with self.rate_distortion.classifier.count_passes(len(image)) as counter:
            explanation = self._finish(self.predictor(image, target, streams), on_step)
        return replace(explanation, extra={"passes": counter.per_image.to(image.device, torch.float32)})

    def _one_by_one(self, image: Tensor, target: Tensor | None, on_step: OnStep) -> Explanation:
        """The decoder's libraries, too, choose their kernels by the size of the batch."""
        targets = [None] * len(image) if target is None else target.split(1)
        steps: list[OnStep] = [*[lambda step, mask: None] * (len(image) - 1), on_step]
        parts = []
        for index, (target_class, report) in enumerate(zip(targets, steps, strict=True)):
            chunk = slice(index, index + 1)
            with self.rate_distortion.classifier.passes_for(chunk, of=len(image)):
                parts.append(self._start(image[chunk], target_class, report))
        mask, relevance, passes = (
            torch.cat(values) for values in zip(*((p.mask, p.relevance, p.extra["passes"]) for p in parts), strict=True)
        )
        return Explanation(self.rate_distortion.encode(image, target), mask, relevance, extra={"passes": passes})

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        raise NotImplementedError("an amortized explainer looks at images, not at references")

    def _finish(self, prediction: Prediction, on_step: OnStep) -> Explanation:
        encoded, refined = prediction.encoded, None
        if self.learned_steps:
            streams = NoiseStreams.of(encoded.image, self.seed, "refine")
            refined = self.predictor.refine(prediction, self.lambda_k, self.learned_steps, streams, on_step=on_step)
        trace = MaskPath(self.rate_distortion, prediction, refined, self.hard, self.seed)
        if refined is not None and not (self.hard or self._chosen):
            mask = refined.masked_fill(refined < PRUNE_THRESHOLD, 0)
        else:
            mask = trace.mask(self._rate(trace))
        relevance = trace.order.sigmoid()
        if self.finetune_steps:
            streams = NoiseStreams.of(encoded.image, self.seed, "optimise")
            cartoonx = RDE(self.rate_distortion, self.lambda_k, self.refinement, mask)
            optimised = cartoonx._explain(encoded, streams, lambda step, now: on_step(self.learned_steps + step, now))
            mask, relevance = optimised.mask, optimised.relevance
        if not self.learned_steps + self.finetune_steps:
            on_step(1, mask)
        return Explanation(encoded, mask, relevance)

    @property
    def _chosen(self) -> bool:
        """Whether the rate is another than the one that lambda_k leads to by itself."""
        return self.select_rate or self.rate is not None or self.max_distortion is not None

    def _rate(self, trace: MaskPath) -> Tensor:
        """Rates ``(B,)``."""
        if self.rate is not None:
            return torch.full_like(trace.prediction.logits[:, 0], self.rate)
        if self.max_distortion is not None:
            return trace.below(self.max_distortion)
        if self.select_rate:
            return trace.best(self.lambda_k)
        return trace.prediction.rate_for(self.lambda_k) if trace.refined is None else trace.own

    def settings(self) -> dict[str, str | int | float]:
        unused = not self.learned_steps and (self.rate is not None or self.max_distortion is not None)
        chosen = {
            "decoder": digest(self.predictor.decoder), "lambda_k": None if unused else self.lambda_k,
            "rate": self.rate, "hard": int(self.hard), "select_rate": int(self.select_rate),
            "max_distortion": self.max_distortion, "learned_steps": self.learned_steps, "finetune_steps": self.finetune_steps,
            "schedule": f"{INITIAL_RATE_FACTOR:g} {INITIAL_LAMBDA_SCALE:g} {AVERAGED_TAIL} {PRUNE_THRESHOLD:g} {TIE_BREAK_WEIGHT:g}" if self.learned_steps else None,  # of the looks
            "way": path_optimizer.KEY if self.learned_steps and self._chosen and not self.hard else None,
            "choice": "rising" if self.select_rate or self.max_distortion is not None else None,
        }  # fmt: skip
        return {**super().settings(), **{key: value for key, value in chosen.items() if value is not None}}
