"""What training the refiner minimises: distortion + lambda_k * rate after each of its steps."""

import math
from typing import Any

import torch
from torch import Tensor

from amortex.amortized.evidence import probe
from amortex.amortized.predictor import CURVE_RATES, MaskPredictor, Prediction
from amortex.amortized.refiner import initial_state, marginal_gain
from amortex.core.noise_streams import NoiseStreams, uniform
from amortex.rate_distortion.distortions import target_probability
from amortex.training.config import RefinementConfig

SPREAD = 1.5  # how far beyond the interval of lambda_k prices are drawn, as a factor
STARTS = (0.5, 4.0)  # the masks to begin with have the rate that the predictor expects to be best, times this
QUICKEST = 0.15  # how quickly the price may rise, as a share of the steps


class Refinement:
    """The loss of the `Refiner` over some of its steps.

    Each step is asked for the lowest objective that it can reach at once, at its own price of the mask, and gets no
    gradient from later ones: so only the refiner is differentiated, the gradient of the distortion at its new mask
    being a constant; and the pass that finds this gradient is the look that the next step begins with. A training step
    of T refinement steps costs T forward and backward passes of the classifier, and no memory for them.

    Arguments:
        predictor: with a refiner.
        config: how many steps.
        lambda_k: sparsity weights, beyond whose interval some are drawn.
        seed: of all randomness.
    """

    def __init__(
        self, predictor: MaskPredictor, config: RefinementConfig, lambda_k: tuple[float, ...], seed: int = 0
    ) -> None:
        self.predictor, self.config, self.lambda_k, self.seed = predictor, config, lambda_k, seed

    def __call__(self, prediction: Prediction, numbers: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of predictions for the samples of these `numbers`, and what to log of it."""
        rd, schedule = self.predictor.rate_distortion, self.predictor.schedule
        refiner: Any = self.predictor.decoder.refiner
        encoded, device = prediction.encoded, prediction.logits.device
        part = NoiseStreams.numbered(numbers, self.seed, "price", device).fill(
            uniform, slice(None), 1, (4,), torch.float32
        )
        last, first, starts, pace = part[:, 0].unbind(1)
        last = between(last, min(self.lambda_k) / SPREAD, max(self.lambda_k) * SPREAD)
        first = torch.minimum(between(first, schedule.first_lambda, max(self.lambda_k) * SPREAD), last)
        with torch.no_grad():
            rate = prediction.rate_for(first) * between(starts, *STARTS)
            state = initial_state(prediction.mask(rate.clamp(CURVE_RATES[0], CURVE_RATES[-1])))
        evidence, hidden = prediction.evidence, prediction.hidden
        hidden = hidden._replace(condition=hidden.condition.detach(), stages=tuple(s.detach() for s in hidden.stages))
        streams = NoiseStreams.numbered(numbers, self.seed, "refine", device)
        aim = target_probability(encoded.probabilities, encoded.target, encoded.predicted)
        steps = self.config.steps * between(pace, QUICKEST, 1.0)
        latest = probe(rd, encoded, state.mask, streams, mask_gradient=True)
        loss, costs = torch.zeros((), device=device), []
        for step in range(self.config.steps):
            lambda_t = schedule.lambda_t(last, first, step, steps)
            state = refiner(evidence, hidden, lambda_t, state, latest)
            mask = state.mask
            latest = probe(rd, encoded, mask.detach(), streams, mask_gradient=True)
            distortion = (latest.log_probability.exp() - aim).square()
            gradient = (lambda_t[:, None] - marginal_gain(encoded, latest)) / mask.shape[1]
            loss = loss + (mask * gradient).sum(1).mean() / self.config.steps
            costs.append((distortion + lambda_t * mask.detach().mean(1)).mean())
            state = state._replace(logits=state.logits.detach())
        return loss, {"refine_first": costs[0], "refine_last": costs[-1], "refine_rate": state.mask.mean()}


def between(share: Tensor, low: float, high: float) -> Tensor:
    """From `low` to `high`, evenly on a log scale."""
    return (math.log(low) + share * math.log(high / low)).exp()
