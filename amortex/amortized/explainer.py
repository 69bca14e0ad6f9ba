"""The amortized explainer: one pass of a trained predictor, learned refinement, and the choice of a rate."""

import logging
import math

import torch
from torch import Tensor

from amortex.amortized.any_target import AnyTarget
from amortex.amortized.config import PathConfig
from amortex.amortized.mask_path import MaskPath
from amortex.amortized.pass_plan import PASSES_OF_A_STEP, plan_for, refined_masks
from amortex.amortized.predictor import MaskPredictor, Prediction
from amortex.amortized.settling import SettlingConfig
from amortex.classifiers.fingerprint import digest
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import Explainer, Explanation, OnStep, check_share
from amortex.explainers.presets import SelectionConfig, finetuning
from amortex.explainers.rate_search import Bound, MaxDistortion, MinRetention
from amortex.explainers.rde import RDE
from amortex.rate_distortion.encoded_batch import EncodedBatch

logger = logging.getLogger(__name__)


class Amortized(Explainer):
    """Masks from one pass of a trained `MaskPredictor`, and from steps of learned refinement that continue from it.

    By default the rate is the one that `lambda_k` leads to: learned steps move the mask there, and without them it is
    predicted. It can be given instead, or chosen by measurements on noise: the best one for `lambda_k`
    (`select_rate`), the lowest one whose distortion stays below `max_distortion` with the upper end of its 95 %
    interval, or the lowest one that keeps the class in a share of draws of at least `min_retention`, with the lower end
    of its interval. If none does, the mask is full, and the certificate says so.

    Masks beyond the rate of a refined one are on a densification path. Computing it takes further classifier passes
    (see `MaskPath` and `PathConfig`).

    Arguments:
        predictor: a trained predictor.
        lambda_k: sparsity weight.
        rate: mean of the mask, exactly.
        hard: keep exactly the top share `rate` of the entries instead of a soft mask of that mean.
        select_rate: choose the rate for `lambda_k` by measurements.
        max_distortion: bound on the distortion.
        min_retention: bound on the retention.
        learned_steps: steps of learned refinement at `lambda_k`, for explainers that were trained for it; a forward and
            a backward pass each. By default those of the predictor's `RefinementSchedule`.
        passes: classifier passes to spend on each input, instead of a number of steps, see `PassPlan`.
        finetune_steps: CartoonX steps at `lambda_k` that follow.
        seed: of the run.
        path_config: of densification paths.
        selection: how measurements choose a rate.

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
        min_retention: float | None = None,
        learned_steps: int | None = None,
        finetune_steps: int = 0,
        seed: int = 0,
        path_config: PathConfig | None = None,
        selection: SelectionConfig | None = None,
        passes: int | None = None,
    ) -> None:
        super().__init__(predictor.rate_distortion, seed)
        if sum((rate is not None, select_rate, max_distortion is not None, min_retention is not None)) > 1:
            raise InputError(
                "rate, select-rate, max-distortion and min-retention each choose the rate: give one of them"
            )
        if rate is not None:
            check_share(rate)
        self.plan_given = {"learned_steps": learned_steps, "passes": passes}
        self.plan = plan_for(predictor, learned_steps, passes)
        if finetune_steps < 0:
            raise InputError(f"finetune-steps must be at least 0, not {finetune_steps}")
        if finetune_steps and passes is not None:
            raise InputError("finetune-steps go beyond the passes that are asked for: leave one of them out")
        self.path_config, self.selection = path_config or PathConfig(), selection or SelectionConfig()
        self.bound: Bound | None = None
        if max_distortion is not None:
            self.bound = MaxDistortion(max_distortion, self.selection.confirmation_samples)
        elif min_retention is not None:
            self.bound = MinRetention(min_retention)
            self.certificate_samples = self.bound.confirmation_samples
        if finetune_steps and (hard or rate is not None or self.bound is not None):
            raise InputError("CartoonX steps move the rate: leave out finetune-steps, or hard, rate and bounds")
        self.predictor, self.lambda_k, self.rate, self.hard = predictor, lambda_k, rate, hard
        self.select_rate, self.max_distortion, self.min_retention = select_rate, max_distortion, min_retention
        self.learned_steps, self.finetune_steps, self.passes = self.plan.learned, finetune_steps, passes
        self.finetuning = finetuning(max(1, finetune_steps))
        RDE(self.rate_distortion, lambda_k, self.finetuning)  # refuses a lambda_k out of range
        self.steps = max(1, self.plan.steps + finetune_steps)
        self._warn_of_lambda()

    def _warn_of_lambda(self) -> None:
        low, high = self.predictor.lambda_range or (-math.inf, math.inf)
        if self.learned_steps and not low <= self.lambda_k <= high:  # alone learned steps were trained for some
            logger.warning(
                "lambda_k %g lies outside %.3g to %.3g, for which this explainer was trained: masks may be far from "
                "the best ones, which the method cartoonx shows", self.lambda_k, low, high,
            )  # fmt: skip

    def for_target(self) -> Explainer:
        """Explains predicted classes as ever, and others by learned steps that know these, else by one pass.

        Raises:
            InputError: learned steps that know predicted classes alone, or passes too few for a step, are asked for.
        """
        others = self.predictor.others
        is_trained = others is not None or self.predictor.schedule.any_target
        if self.learned_steps and is_trained:
            return self if others is None else AnyTarget(self, self._with(others, self.select_rate, self.plan_given))
        if self.passes is not None and is_trained:
            fewest = self.predictor.passes + PASSES_OF_A_STEP
            raise InputError(f"with a target, passes must be at least {fewest}, those of one learned step")
        if any(self.plan_given.values()):
            given = "learned-steps" if self.passes is None else "passes"
            raise InputError(f"refinement is learned for predicted classes: with a target, leave out {given}")
        select_rate = self.rate is None and self.bound is None  # predicted rates are of other masks
        return AnyTarget(self, self._with(self.predictor, select_rate, {"learned_steps": 0}))

    def _with(self, predictor: MaskPredictor, select_rate: bool, plan: dict[str, int | None]) -> "Amortized":
        """A copy with another predictor and other steps."""
        return Amortized(
            predictor, self.lambda_k, self.rate, self.hard, select_rate, self.max_distortion, self.min_retention,
            finetune_steps=self.finetune_steps, seed=self.seed, path_config=self.path_config, selection=self.selection,
            **plan,
        )  # fmt: skip

    @torch.no_grad()
    def _start(self, image: Tensor, target: Tensor | None, on_step: OnStep) -> Explanation:
        """Class and mask come from one pass over the classifier."""
        if self.rate_distortion.batch_invariant and len(image) > 1:
            return self._one_by_one(image, target, on_step)
        streams = NoiseStreams.of(image, self.seed, "look") if self.predictor.gradient else None
        return self._finish(self.predictor(image, target, streams), on_step)

    def _one_by_one(self, image: Tensor, target: Tensor | None, on_step: OnStep) -> Explanation:
        """Apart from each other: the decoder's libraries, too, choose their kernels by the size of the batch."""
        targets = [None] * len(image) if target is None else target.split(1)
        steps: list[OnStep] = [*[lambda step, mask: None] * (len(image) - 1), on_step]
        parts = []
        for index, (target_class, report) in enumerate(zip(targets, steps, strict=True)):
            chunk = slice(index, index + 1)
            with self.rate_distortion.classifier.passes_for(chunk, of=len(image)):
                parts.append(self._start(image[chunk], target_class, report))
        mask, relevance = (torch.cat(values) for values in zip(*((p.mask, p.relevance) for p in parts), strict=True))
        probabilities = torch.cat([part.encoded.probabilities for part in parts])
        return Explanation(self.rate_distortion.encode(image, target, probabilities), mask, relevance)

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        raise NotImplementedError("an amortized explainer starts from inputs, whose features it needs")

    def _finish(self, prediction: Prediction, on_step: OnStep) -> Explanation:
        encoded, schedule, refined = prediction.encoded, self.predictor.schedule, None
        if self.learned_steps:
            refined = refined_masks(self.predictor, prediction, self.lambda_k, self.plan, self.seed, on_step)
        path = MaskPath(self.predictor, prediction, refined, self.hard, self.seed, self.path_config, self.selection)
        if refined is not None and not (self.hard or self._rate_is_asked_for):
            mask = refined.masked_fill(refined < schedule.prune_threshold, 0)
        else:
            mask = path.mask(self._rate(path))
        relevance = encoded.only_live(path.order.sigmoid())
        if self.finetune_steps:
            streams = NoiseStreams.of(encoded.image, self.seed, "optimise")
            cartoonx = RDE(self.rate_distortion, self.lambda_k, self.finetuning, mask)
            finetuned = cartoonx._explain(encoded, streams, lambda step, now: on_step(self.plan.steps + step, now))
            mask, relevance = finetuned.mask, finetuned.relevance
        if not self.plan.steps + self.finetune_steps:
            on_step(1, mask)
        return Explanation(encoded, mask, relevance)

    @property
    def _rate_is_asked_for(self) -> bool:
        """Whether the rate is another than the one that lambda_k leads to by itself."""
        return self.select_rate or self.rate is not None or self.bound is not None

    def _rate(self, path: MaskPath) -> Tensor:
        """Rates ``(B,)``."""
        if self.rate is not None:
            return torch.full_like(path.prediction.logits[:, 0], self.rate)
        if self.bound is not None:
            return path.lowest_rate(self.bound)
        if self.select_rate:
            return path.best_rate(self.lambda_k)
        return path.prediction.rate_for(self.lambda_k) if path.refined is None else path.refined_rate

    def settings(self) -> dict[str, str | int | float]:
        """The arguments that determine the result; those that have no part in it are left out."""
        measured = self.select_rate or self.bound is not None
        lambda_k_is_unused = not self.learned_steps and (self.rate is not None or self.bound is not None)
        on_a_path = self.learned_steps and self._rate_is_asked_for and not self.hard
        chosen = {
            "decoder": digest(self.predictor.decoder), "lambda_k": None if lambda_k_is_unused else self.lambda_k,
            "rate": self.rate, "hard": int(self.hard), "select_rate": int(self.select_rate),
            "max_distortion": self.max_distortion, "min_retention": self.min_retention,
            "learned_steps": self.learned_steps, "finetune_steps": self.finetune_steps, "passes": self.passes,
            "plan": repr(self.plan) if self.passes is not None else None,
            "settling": repr(SettlingConfig()) if self.plan.settling else None,
            "schedule": repr(self.predictor.schedule) if self.learned_steps else None,
            "path": repr(self.path_config) if on_a_path else None,
            "selection": repr(self.selection) if measured else None,
        }  # fmt: skip
        return {**super().settings(), **{key: value for key, value in chosen.items() if value is not None}}
