"""The loss of learned refinement: distortion + sparsity weight * rate after each of its steps."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from amortex.amortized.evidence import probe
from amortex.amortized.predictor import CURVE_RATES, MaskPredictor, Prediction
from amortex.amortized.refiner import aimed_at, initial_state, marginal_gain, probed_distortion
from amortex.amortized.sparsity_weights import FallingWeight, RisingWeight, SparsityWeight
from amortex.core.noise_streams import NoiseStreams, uniform
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.training.config import RefinementConfig
from amortex.training.input_sizes import draw_for_all

RATES_OF_OTHERS = (0.01, 0.4)  # of initial masks of classes that are not predicted: no rate is expected for these
LATENESS = 4  # unrolled steps count by this power of their place: the mask after the last ones is what is used
USUAL_DISTORTION, USUAL_RATE = 0.05, 0.03  # divided by the objective of these, all lambda_k count alike


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
        predictor: with a refiner.
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
        last, first, initial, length = draws.unbind(1)
        last = log_uniform(last, self.lowest_lambda, self.highest_lambda)
        if self.config.unrolled:
            run = self.unrolled(encoded, last, self.number_of_steps(training_step))
        else:
            run = self.greedy(last, first, length)
        with torch.no_grad():
            rate = prediction.rate_for(run.first) * log_uniform(initial, *self.config.initial_rates)
            rate = rate.where(encoded.predicted, log_uniform(initial, *RATES_OF_OTHERS))
            state = initial_state(prediction.mask(rate.clamp(CURVE_RATES[0], CURVE_RATES[-1])), len(run.shares))
        evidence, hidden = prediction.evidence, prediction.hidden
        stages = tuple(stage.detach() for stage in hidden.stages)
        hidden = hidden._replace(condition=hidden.condition.detach(), stages=stages)
        streams = NoiseStreams.numbered(numbers, self.seed, "refine", device)
        latest = probe(rd, encoded, encoded.only_live(state.mask), streams, mask_gradient=True)
        loss, objectives = torch.zeros((), device=device), []
        for step, share in enumerate(run.shares):
            lambda_t = run.sparsity(step, probed_distortion(encoded, latest))
            price = last if self.config.unrolled else lambda_t
            if self.config.unrolled:
                state = checkpoint(
                    refiner, evidence, hidden, lambda_t, state, latest, use_reentrant=False, preserve_rng_state=False
                )
            else:
                state = refiner(evidence, hidden, lambda_t, state._replace(logits=state.logits.detach()), latest)
            mask = encoded.only_live(state.mask)
            latest = probe(rd, encoded, mask.detach(), streams, mask_gradient=True)
            gradient = (price[:, None] - marginal_gain(encoded, latest)) / encoded.entries
            loss = loss + (share * (mask * gradient).sum(1)).mean()
            objectives.append((probed_distortion(encoded, latest) + price * encoded.rate(mask.detach())).mean())
        measured = {
            "refine_first": objectives[0], "refine_last": objectives[-1],
            "refine_rate": encoded.rate(state.mask).mean(),
        }  # fmt: skip
        return loss, measured

    def greedy(self, last: Tensor, first: Tensor, length: Tensor) -> "Run":
        """Steps under rising sparsity weights, for draws ``(B,)`` of where and how long they rise."""
        config, schedule = self.config, self.predictor.schedule
        duration = config.steps * log_uniform(length, config.min_schedule, 1.0)
        first = torch.minimum(log_uniform(first, schedule.first_lambda, self.highest_lambda), last)
        shares = [last.new_full((), 1 / config.steps)] * config.steps
        return Run(first, RisingWeight(last, first, duration, schedule), shares)

    def unrolled(self, encoded: EncodedBatch, last: Tensor, steps: int) -> "Run":
        """So many steps under a falling sparsity weight."""
        schedule = self.predictor.schedule
        late = [((step + 1) / steps) ** LATENESS for step in range(steps)]
        usual = USUAL_DISTORTION + USUAL_RATE * last
        shares = [share / sum(late) / usual for share in late]
        sparsity = FallingWeight(last, aimed_at(encoded).square(), steps, schedule.fall)
        return Run(schedule.initial_lambda(last, steps), sparsity, shares)

    def number_of_steps(self, training_step: int) -> int:
        """Of refinement, for a step of training."""
        draw = torch.tensor(draw_for_all(training_step, self.seed, "steps"))
        return round(log_uniform(draw, self.config.fewest_steps, self.config.steps).item())


class Run(NamedTuple):
    """How refinement goes in a training step."""

    first: Tensor  # (B,), sparsity weights that the first mask is made for
    sparsity: SparsityWeight
    shares: list[Tensor]  # that each step has in the loss, one number or one per input


def log_uniform(draws: Tensor, low: float, high: float) -> Tensor:
    """Uniform draws in [0, 1] -> draws in [low, high] that are uniform on a log scale."""
    return (math.log(low) + draws * math.log(high / low)).exp()
