"""The loss of learned refinement: distortion + sparsity weight * rate after each of its steps."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from amortex.amortized.evidence import probe
from amortex.amortized.predictor import CURVE_RATES, MaskPredictor, Prediction
from amortex.amortized.refiner import initial_state, marginal_gain, probed_distortion
from amortex.amortized.sparsity_weights import RisingWeight, SparsityWeight, weight_of_learned_steps
from amortex.core.noise_streams import NoiseStreams, shared_draw, uniform
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.training.config import RefinementConfig

RATES_OF_OTHERS = (0.01, 0.4)  # of initial masks of classes that are not predicted: no rate is expected for these
STEP_WEIGHT_POWER = 4  # of the place of an unrolled step: what counts is the mask after the last ones
TYPICAL_DISTORTION, TYPICAL_RATE = 0.05, 0.03  # divided by the objective of these, all lambda_k count alike


class Refinement:
    """The loss of the `Refiner` over some of its steps.

    By default each step minimises the objective at its own sparsity weight, and gets no gradient from later steps. So
    the gradient of the distortion at the new mask is a constant, and the refiner alone is differentiated. The pass that
    computes this gradient is also the probe that the next step begins with. A training step with T steps of refinement
    costs T forward and backward passes of the classifier, and no memory for them.

    Unrolled training minimises the objective at lambda_k after every step, mostly after the last ones, under the
    sparsity weight that refinement has when it is used. The gradient passes through all steps, but not through what
    they see of the classifier: that would take its second derivatives. It costs the same passes, the refiner's forward
    passes twice, and memory for the states.

    Arguments:
        predictor: with a refiner, and the schedule of such a training (`RefinementSchedule.trained_by`).
        config: number of steps, and the intervals that their settings are drawn from.
        lambda_k: sparsity weights that are validated.
        seed: of all randomness.

    References:
        Andrychowicz et al., Learning to learn by gradient descent by gradient descent, NeurIPS 2016, for unrolled
        training without second derivatives.
    """

    def __init__(
        self, predictor: MaskPredictor, config: RefinementConfig, lambda_k: tuple[float, ...], seed: int = 0
    ) -> None:
        self.predictor, self.config, self.seed = predictor, config, seed
        self.lowest_lambda = min(lambda_k) / config.lambda_margin
        self.highest_lambda = max(lambda_k) * config.lambda_margin

    def __call__(
        self, prediction: Prediction, numbers: list[int], training_step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of predictions for the samples of these `numbers`, and what to log of it."""
        rd, encoded, device = self.predictor.rate_distortion, prediction.encoded, prediction.logits.device
        refiner: Any = self.predictor.decoder.refiner
        streams = NoiseStreams.numbered(numbers, self.seed, "price", device)
        draws = streams.fill(uniform, slice(None), 1, (4,), torch.float32)[:, 0]
        lambda_k = log_uniform(draws[:, 0], self.lowest_lambda, self.highest_lambda)
        if self.config.unrolled:
            plan = self.unrolled_plan(encoded, lambda_k, self.number_of_steps(training_step))
        else:
            plan = self.greedy_plan(lambda_k, draws[:, 1], draws[:, 3])
        with torch.no_grad():
            rate = prediction.rate_for(plan.initial) * log_uniform(draws[:, 2], *self.config.initial_rates)
            rate = rate.where(encoded.predicted, log_uniform(draws[:, 2], *RATES_OF_OTHERS))
            mask = prediction.mask(rate.clamp(CURVE_RATES[0], CURVE_RATES[-1]))
            state = initial_state(mask, len(plan.weights) if self.config.unrolled else None)
        evidence, hidden = prediction.evidence, prediction.hidden
        stages = tuple(stage.detach() for stage in hidden.stages)
        hidden = hidden._replace(condition=hidden.condition.detach(), stages=stages)
        streams = NoiseStreams.numbered(numbers, self.seed, "refine", device)
        latest = probe(rd, encoded, encoded.only_live(state.mask), streams, mask_gradient=True)
        loss, objectives = torch.zeros((), device=device), []
        for step, weight in enumerate(plan.weights):
            lambda_t = plan.sparsity(step, probed_distortion(encoded, latest))
            if self.config.unrolled:
                arguments, final = (evidence, hidden, lambda_t, state, latest), lambda_k
                state = checkpoint(refiner, *arguments, use_reentrant=False, preserve_rng_state=False)
            else:
                state = state._replace(logits=state.logits.detach())
                state, final = refiner(evidence, hidden, lambda_t, state, latest), lambda_t
            mask = encoded.only_live(state.mask)
            latest = probe(rd, encoded, mask.detach(), streams, mask_gradient=True)
            gradient = (final[:, None] - marginal_gain(encoded, latest)) / encoded.entries
            loss = loss + (weight * (mask * gradient).sum(1)).mean()
            objectives.append((probed_distortion(encoded, latest) + final * encoded.rate(mask.detach())).mean())
        measured = {
            "refine_first": objectives[0], "refine_last": objectives[-1],
            "refine_rate": encoded.rate(state.mask).mean(),
        }  # fmt: skip
        return loss, measured

    def greedy_plan(self, lambda_k: Tensor, initial: Tensor, duration: Tensor) -> "RefinementPlan":
        """Steps under rising sparsity weights: where they begin and how long they rise are uniform draws ``(B,)``."""
        config, schedule = self.config, self.predictor.schedule
        initial = torch.minimum(log_uniform(initial, schedule.first_lambda, self.highest_lambda), lambda_k)
        steps = config.steps * log_uniform(duration, config.min_schedule, 1.0)
        sparsity = RisingWeight(lambda_k, initial, steps, schedule)
        return RefinementPlan(initial, sparsity, [1 / config.steps] * config.steps)

    def unrolled_plan(self, encoded: EncodedBatch, lambda_k: Tensor, steps: int) -> "RefinementPlan":
        """So many steps under the sparsity weight that they have when the refiner is used."""
        schedule = self.predictor.schedule
        initial = schedule.initial_lambda(lambda_k, steps)
        sparsity = weight_of_learned_steps(encoded, lambda_k, initial, steps, schedule)
        powers = [((step + 1) / steps) ** STEP_WEIGHT_POWER for step in range(steps)]
        scale = sum(powers) * (TYPICAL_DISTORTION + TYPICAL_RATE * lambda_k)
        return RefinementPlan(lambda_k.minimum(initial), sparsity, [power / scale for power in powers])

    def number_of_steps(self, training_step: int) -> int:
        """Of unrolled refinement, in a step of training."""
        draw = torch.tensor(shared_draw(training_step, self.seed, "steps"))
        return round(log_uniform(draw, self.config.fewest_steps, self.config.steps).item())


class RefinementPlan(NamedTuple):
    """How refinement goes in a step of training."""

    initial: Tensor  # (B,), sparsity weights that the first masks are made for
    sparsity: SparsityWeight
    weights: Sequence[float | Tensor]  # of the objectives after each step in the loss, one number or one per input


def log_uniform(draws: Tensor, low: float, high: float) -> Tensor:
    """Uniform draws in [0, 1] -> draws in [low, high] that are uniform on a log scale."""
    return (math.log(low) + draws * math.log(high / low)).exp()
