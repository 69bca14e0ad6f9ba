"""The loss of learned refinement: distortion + lambda_t * rate after each of its steps."""

import math
from typing import Any

import torch
from torch import Tensor

from amortex.amortized.evidence import probe
from amortex.amortized.predictor import CURVE_RATES, MaskPredictor, Prediction
from amortex.amortized.refiner import initial_state, marginal_gain, probed_distortion
from amortex.amortized.sparsity_weights import RisingWeight
from amortex.core.noise_streams import NoiseStreams, uniform
from amortex.training.config import RefinementConfig

RATES_OF_OTHERS = (0.01, 0.4)  # of initial masks of classes that are not predicted: no rate is expected for these


class Refinement:
    """The loss of the `Refiner` over some of its steps.

    Each step minimises the objective at its own sparsity weight, and gets no gradient from later steps. So the gradient
    of the distortion at the new mask is a constant, and the refiner alone is differentiated. The pass that computes
    this gradient is also the probe that the next step begins with. A training step with T steps of refinement costs T
    forward and backward passes of the classifier, and no memory for them.

    Arguments:
        predictor: with a refiner.
        config: number of steps, and the intervals that their settings are drawn from.
        lambda_k: sparsity weights that are validated.
        seed: of all randomness.
    """

    def __init__(
        self, predictor: MaskPredictor, config: RefinementConfig, lambda_k: tuple[float, ...], seed: int = 0
    ) -> None:
        self.predictor, self.config, self.seed = predictor, config, seed
        self.lowest_lambda = min(lambda_k) / config.lambda_margin
        self.highest_lambda = max(lambda_k) * config.lambda_margin

    def __call__(self, prediction: Prediction, numbers: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of predictions for the samples of these `numbers`, and what to log of it."""
        rd, schedule, config = self.predictor.rate_distortion, self.predictor.schedule, self.config
        refiner: Any = self.predictor.decoder.refiner
        encoded, device = prediction.encoded, prediction.logits.device
        streams = NoiseStreams.numbered(numbers, self.seed, "price", device)
        draws = streams.fill(uniform, slice(None), 1, (4,), torch.float32)[:, 0]
        last, first, initial, length = draws.unbind(1)
        last = log_uniform(last, self.lowest_lambda, self.highest_lambda)
        steps = config.steps * log_uniform(length, config.min_schedule, 1.0)
        first = torch.minimum(log_uniform(first, schedule.first_lambda, self.highest_lambda), last)
        sparsity = RisingWeight(last, first, steps, schedule)
        with torch.no_grad():
            rate = prediction.rate_for(first) * log_uniform(initial, *config.initial_rates)
            rate = rate.where(encoded.predicted, log_uniform(initial, *RATES_OF_OTHERS))
            state = initial_state(prediction.mask(rate.clamp(CURVE_RATES[0], CURVE_RATES[-1])))
        evidence, hidden = prediction.evidence, prediction.hidden
        stages = tuple(stage.detach() for stage in hidden.stages)
        hidden = hidden._replace(condition=hidden.condition.detach(), stages=stages)
        streams = NoiseStreams.numbered(numbers, self.seed, "refine", device)
        latest = probe(rd, encoded, encoded.only_live(state.mask), streams, mask_gradient=True)
        loss, objectives = torch.zeros((), device=device), []
        for step in range(config.steps):
            lambda_t = sparsity(step, probed_distortion(encoded, latest))
            state = refiner(evidence, hidden, lambda_t, state, latest)
            mask = encoded.only_live(state.mask)
            latest = probe(rd, encoded, mask.detach(), streams, mask_gradient=True)
            gradient = (lambda_t[:, None] - marginal_gain(encoded, latest)) / encoded.entries
            loss = loss + (mask * gradient).sum(1).mean() / config.steps
            objectives.append((probed_distortion(encoded, latest) + lambda_t * encoded.rate(mask.detach())).mean())
            state = state._replace(logits=state.logits.detach())
        measured = {
            "refine_first": objectives[0], "refine_last": objectives[-1],
            "refine_rate": encoded.rate(state.mask).mean(),
        }  # fmt: skip
        return loss, measured


def log_uniform(draws: Tensor, low: float, high: float) -> Tensor:
    """Uniform draws in [0, 1] -> draws in [low, high] that are uniform on a log scale."""
    return (math.log(low) + draws * math.log(high / low)).exp()
