"""What a budget of classifier passes is spent on: learned steps, settling, and the choice among what they lead to."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from amortex.amortized.predictor import MaskPredictor, Prediction
from amortex.amortized.settling import DRAWS_OF_NOTHING, settle
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import OnStep
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion

PASSES_OF_A_STEP = 3  # forward and backward
LEARNED_BEFORE_SETTLING = 20
FEWEST_SETTLING_STEPS = 150  # with fewer, learned steps alone are better
FEWEST_PASSES_TO_CHOOSE = 28  # with fewer, measuring costs more than it wins
NEVER = (1, 0)  # numbers of steps, an empty interval
PASSES_PER_DRAW = 64  # one draw measures the candidates for so many passes of the budget


@dataclass(frozen=True)
class PassPlan:
    """Steps of a refinement, and draws that choose among its masks.

    Arguments:
        learned: learned steps.
        settling: steps that follow, see `settle`.
        draws: noise draws that measure each of the masks to choose from; 0 takes the last one unseen.
    """

    learned: int
    settling: int = 0
    draws: int = 0

    @property
    def steps(self) -> int:
        return self.learned + self.settling

    @classmethod
    def of(cls, passes: int, prediction: int, telling_draws: int = 1) -> "PassPlan":
        """The plan for so many classifier passes, of which the predicted mask takes `prediction`.

        With less than `telling_draws` to choose by (see `Obfuscation`), nothing is chosen.

        Raises:
            InputError: fewer passes than the predicted mask takes.

        >>> PassPlan.of(1000, prediction=4)
        PassPlan(learned=20, settling=296, draws=15)
        """
        if passes < prediction:
            raise InputError(f"passes must be at least {prediction}, which the mask of one pass takes, not {passes}")
        draws = max(1, passes // PASSES_PER_DRAW) if passes >= FEWEST_PASSES_TO_CHOOSE else 0
        draws = draws if draws >= telling_draws else 0
        steps = (passes - prediction - 2 * draws) // PASSES_OF_A_STEP  # the empty and the refined mask
        if steps - LEARNED_BEFORE_SETTLING < FEWEST_SETTLING_STEPS:
            return cls(steps, 0, draws)
        steps = (passes - prediction - 3 * draws - DRAWS_OF_NOTHING) // PASSES_OF_A_STEP  # and the settled one
        return cls(LEARNED_BEFORE_SETTLING, steps - LEARNED_BEFORE_SETTLING, draws)


def plan_for(predictor: MaskPredictor, learned_steps: int | None, passes: int | None) -> PassPlan:
    """The plan of so many learned steps or so many classifier passes; by default of the steps of the predictor.

    Raises:
        InputError: both are given, or what this predictor cannot do.
    """
    has_refiner = predictor.decoder.refiner is not None
    if passes is not None and learned_steps is not None:
        raise InputError("passes and learned-steps each say how long to refine: give one of them")
    if learned_steps is None:
        learned_steps = predictor.schedule.default_steps if has_refiner else 0
    if learned_steps < 0:
        raise InputError(f"learned-steps must be at least 0, not {learned_steps}")
    if not has_refiner and (learned_steps or passes is not None):
        given = "learned-steps" if passes is None else "passes"
        raise InputError(
            f"this explainer has learned no refinement (configs/experiment/refine.yaml): leave out {given}"
        )
    if passes is None:
        return PassPlan(learned_steps)
    return PassPlan.of(passes, predictor.passes, predictor.rate_distortion.obfuscation.telling_draws)


def refined_masks(
    predictor: MaskPredictor, prediction: Prediction, lambda_k: float, plan: PassPlan, seed: int, on_step: OnStep
) -> Tensor:
    """Masks ``(B, k)`` of a refinement: where there are draws to choose, none is worse on them than the empty mask,
    nor than the one that learned steps end with."""
    rd, encoded = predictor.rate_distortion, prediction.encoded
    streams = NoiseStreams.of(encoded.image, seed, "refine")
    # settling raises the sparsity weight itself, and needs a start that keeps the class (docs/research_log.md)
    schedule = replace(predictor.schedule, unrolled=False, falling_steps=NEVER) if plan.settling else None
    refined = predictor.refine(prediction, lambda_k, plan.learned, streams, on_step=on_step, schedule=schedule)
    if not plan.draws:
        return refined
    candidates = [torch.zeros_like(refined), refined]
    if plan.settling:
        start = refined.masked_fill(refined < predictor.schedule.prune_threshold, 0)
        streams = NoiseStreams.of(encoded.image, seed, "settle")
        report: OnStep = lambda step, mask: on_step(plan.learned + step, mask)  # noqa: E731
        candidates.append(settle(rd, encoded, start, lambda_k, plan.settling, streams, report))
    return best_of(rd, encoded, candidates, lambda_k, NoiseStreams.of(encoded.image, seed, "choose"), plan.draws)


def best_of(
    rd: RateDistortion, encoded: EncodedBatch, masks: list[Tensor], lambda_k: float, streams: NoiseStreams, draws: int
) -> Tensor:
    """For each input that of the masks ``(B, k)`` with the lowest ``D + lambda_k * R`` on common draws; the later one
    of equals."""
    outputs = rd.probabilities(encoded, masks, streams, draws)
    distortion = torch.stack([rd.distortions(encoded, output).mean(1) for output in outputs])
    objective = distortion + lambda_k * torch.stack([encoded.rate(mask) for mask in masks])
    # a NaN counts as the worst, and argmin takes the first of equals
    best = len(masks) - 1 - objective.nan_to_num(torch.inf).flip(0).argmin(0)
    return torch.stack(masks)[best, torch.arange(len(best), device=best.device)]
