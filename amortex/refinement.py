"""What training the refiner minimises: distortion + lambda_k * rate after each of its steps."""

import math
from typing import Any

import torch
from torch import Tensor

from amortex.draws import Draws, uniform
from amortex.predictors import MaskPredictor, Prediction
from amortex.predictors.evidence import look
from amortex.predictors.predictor import RATES
from amortex.predictors.refiner import FIRST_PRICE, begin, price
from amortex.rate_distortion import class_probability

SPREAD = 1.5  # how far beyond the interval of lambda_k prices are drawn, as a factor
STARTS = (0.5, 4.0)  # the masks to begin with have the rate that the predictor expects to be best, times this
LOST = 0.05  # weight of a divergence whose gradient does not vanish where the class is lost


class Refinement:
    """The loss of the `Refiner` over some of its steps.

    Each step is asked for the lowest objective that it can reach at once, at its own price of the mask, and gets no
    gradient from later ones: so only the refiner is differentiated, the gradient of the distortion at its new mask
    being a constant; and the pass that finds this gradient is the look that the next step begins with. A training step
    of T refinement steps costs T forward and backward passes of the classifier, and no memory for them.

    Arguments:
        predictor: with a refiner.
        settings: of `AmortizedExplainer`.
    """

    def __init__(self, predictor: MaskPredictor, settings: Any) -> None:
        self.predictor, self.settings = predictor, settings

    def __call__(self, prediction: Prediction, numbers: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of predictions for the samples of these `numbers`, and what to log of it."""
        h, rd = self.settings, self.predictor.rate_distortion
        refiner: Any = self.predictor.decoder.refiner
        device = prediction.logits.device
        part = Draws.numbered(numbers, h.seed, "price", device).fill(uniform, slice(None), 1, (3,), torch.float32)
        last, first, starts = part[:, 0].unbind(1)
        last = between(last, min(h.lambda_k) / SPREAD, max(h.lambda_k) * SPREAD)
        first = torch.minimum(between(first, FIRST_PRICE, max(h.lambda_k) * SPREAD), last)  # anywhere on the way
        with torch.no_grad():
            rate = prediction.rate_for(first) * between(starts, *STARTS)
            state = begin(prediction.mask(rate.clamp(RATES[0], RATES[-1])))
        evidence, hidden = prediction.evidence, prediction.hidden
        hidden = hidden._replace(condition=hidden.condition.detach(), stages=tuple(s.detach() for s in hidden.stages))
        draws = Draws.numbered(numbers, h.seed, "refine", device)
        wanted = torch.where(prediction.reference.predicted, class_probability(prediction.reference), 1.0)
        seen = look(rd, prediction.reference, state.mask, draws)
        loss, costs = torch.zeros((), device=device), []
        for step in range(h.refine_steps):
            lambda_k = price(last, step, h.refine_steps, first)
            state = refiner(evidence, hidden, lambda_k, state, seen)
            mask, slope = state.mask, torch.empty_like(state.logits)
            seen = look(rd, prediction.reference, mask.detach(), draws, slope)
            distortion, push = miss(seen.kept, wanted)
            gradient = (push[:, None] * slope).nan_to_num(0, 0, 0) + lambda_k[:, None] / mask.shape[1]
            loss = loss + (mask * gradient).sum(1).mean() / h.refine_steps
            costs.append((distortion + lambda_k * mask.detach().mean(1)).mean())
            state = state._replace(logits=state.logits.detach())
        return loss, {"refine_first": costs[0], "refine_last": costs[-1], "refine_rate": state.mask.mean()}


def miss(kept: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Squared miss of the wanted probability, and the slope of that and a little divergence by ``kept = log q``."""
    with torch.enable_grad():
        log_q = kept.detach().requires_grad_()
        q = log_q.exp()
        distortion = (q - wanted).square()
        other = (1 - wanted) * (1 - q).clamp(min=1e-6).log()
        (slope,) = torch.autograd.grad((distortion - LOST * (wanted * log_q + other)).sum(), log_q)
    return distortion.detach(), slope


def between(share: Tensor, low: float, high: float) -> Tensor:
    """From `low` to `high`, evenly on a log scale."""
    return (math.log(low) + share * math.log(high / low)).exp()
