"""Masks of every rate for images, and the rates among them that measuring chooses."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from amortex.draws import Draws
from amortex.masks import energy, top_share
from amortex.predictors import Prediction
from amortex.predictors.budget import masks_through
from amortex.predictors.predictor import CHOICES, RATES
from amortex.rate_distortion import RateDistortion

NUDGE = 1 / 64  # of the first mask, for the order of the refined one
CHOICE_SAMPLES = 16  # noise draws per rate when rates are measured to choose one
CONFIRMATION_SAMPLES = 64  # fresh draws that confirm a bound


class Trace:
    """Masks of every rate: those of a prediction, or through `refined` ones.

    Arguments:
        rd: of the prediction.
        prediction: of one pass.
        refined: refined masks ``(B, k)``, if there are some.
        hard: masks keep exactly the top share of the entries.
    """

    def __init__(self, rd: RateDistortion, prediction: Prediction, refined: Tensor | None, hard: bool) -> None:
        self.rd, self.prediction, self.refined, self.hard = rd, prediction, refined, hard
        self.reference = prediction.reference
        # without noise all draws are the same
        noisy = self.reference.scale is not None
        self.choice, self.confirmation = (CHOICE_SAMPLES, CONFIRMATION_SAMPLES) if noisy else (1, 1)

    def mask(self, rate: Tensor) -> Tensor:
        """Masks ``(B, k)`` of rates ``(B,)``."""
        if not self.hard:
            return self.prediction.mask(rate) if self.refined is None else masks_through(self.refined, rate)
        rows = zip(self.order.split(1), rate.tolist(), energy(self.reference.coefficients).split(1), strict=True)
        return torch.cat([top_share(relevance, one, tie) for relevance, one, tie in rows])

    @property
    def order(self) -> Tensor:
        """What ranks the entries, ``(B, k)``: the logits of the first mask, or those of the refined one with a nudge by
        these, as most of its own are at their lower end.
        """
        if self.refined is None:
            return self.prediction.logits
        return self.refined.clamp(1e-6, 1 - 1e-6).logit() + NUDGE * self.prediction.logits

    @property
    def own(self) -> Tensor:
        """Rates ``(B,)`` of the refined masks."""
        assert self.refined is not None
        return self.refined.mean(1).nan_to_num(1.0)  # of outputs that are not finite

    def rates(self) -> Tensor:
        """Rates to choose from, ``(B, R)``, rising: evenly spaced on a log scale, and those of the refined masks."""
        rates = torch.logspace(math.log10(RATES[0]), 0, CHOICES // 4, device=self.reference.image.device)
        rates = rates.expand(len(self.reference.image), -1)
        return rates if self.refined is None else torch.cat([rates, self.own[:, None]], 1).sort(1).values

    def best(self, lambda_k: float, seed: int) -> tuple[Tensor, Tensor]:
        """The rates ``(B,)`` of lowest ``D + lambda_k * R``, and the classifier passes ``(B,)`` that it took."""
        rates, draws = self.rates(), Draws.of(self.reference.image, seed, "choose")
        means = torch.stack([mean for mean, _ in self._measure(rates, draws, self.choice)], 1).nan_to_num(math.inf)
        best = (means + lambda_k * rates).argmin(1, keepdim=True)
        return rates.gather(1, best)[:, 0], torch.full_like(rates[:, 0], self.choice * rates.shape[1])

    def below(self, distortion: float, seed: int) -> tuple[Tensor, Tensor]:
        """The lowest rates ``(B,)`` whose distortion is below a bound with the upper end of its interval, else 1.

        And the classifier passes ``(B,)`` that it took.
        """
        rates, draws = self.rates(), Draws.of(self.reference.image, seed, "choose")
        below = torch.stack([high for _, high in self._measure(rates, draws, self.choice)], 1) < distortion
        below[:, -1] = True  # all that is left is the full mask
        choice = below.to(torch.uint8).argmax(1)
        passes = torch.full_like(rates[:, 0], self.choice * rates.shape[1])
        unconfirmed = torch.ones_like(choice, dtype=torch.bool)
        while bool(unconfirmed.any()):  # the best of many is partly luck: confirm it on fresh draws, or go to the next
            _, high = next(self._measure(rates.gather(1, choice[:, None]), draws, self.confirmation))
            passes += self.confirmation * unconfirmed
            below[torch.arange(len(choice), device=choice.device), choice] = False
            unconfirmed &= ~(high < distortion) & below.any(1)  # others of the batch may go on
            choice = torch.where(unconfirmed, below.to(torch.uint8).argmax(1), choice)
        return rates.gather(1, choice[:, None])[:, 0], passes

    def _measure(self, rates: Tensor, draws: Draws, samples: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Mean distortion ``(B,)`` and the upper end of its 95 % interval at each column of `rates`."""
        for rate in rates.unbind(1):
            outcome = self.rd(self.reference, self.mask(rate), draws, samples)
            mean = outcome.distortion.mean(1)
            yield mean, mean if self.reference.scale is None else outcome.interval()[1]
