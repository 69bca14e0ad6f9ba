"""Masks of every rate for images, and the rates among them that measuring chooses."""

import math

import torch
from torch import Tensor

from amortex.amortized import path_optimizer
from amortex.amortized.budget import masks_through
from amortex.amortized.predictor import CHOICES, RATES, Prediction
from amortex.core.masks import energy, top_share
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.pipeline import RateDistortion

TIE_BREAK_WEIGHT = 1 / 64  # of the first mask, for the order of the refined one
CHOICE_SAMPLES = 16  # noise draws per rate when rates are measured to choose one
CONFIRMATION_SAMPLES = 64  # fresh draws that confirm a bound


class MaskPath:
    """Masks of every rate: those of a prediction, or through `refined` ones and, at high rates, on the `way` beyond.

    An image walks that way once, when a mask is first asked for that lies on it.

    Arguments:
        rd: of the prediction.
        prediction: of one pass.
        refined: refined masks ``(B, k)``, if there are some.
        hard: masks keep exactly the top share of the entries.
        seed: of the run.
    """

    def __init__(
        self, rd: RateDistortion, prediction: Prediction, refined: Tensor | None, hard: bool, seed: int = 0
    ) -> None:
        self.rd, self.prediction, self.refined, self.hard, self.seed = rd, prediction, refined, hard, seed
        self.encoded = prediction.encoded
        if refined is not None:
            self._start = path_optimizer.begin(refined.float())
            self._half = self._start.clone()
            self._walked = torch.zeros_like(prediction.logits[:, 0], dtype=torch.bool)
        self.choice, self.confirmation = map(self.encoded.samples, (CHOICE_SAMPLES, CONFIRMATION_SAMPLES))

    def mask(self, rate: Tensor) -> Tensor:
        """Masks ``(B, k)`` of rates ``(B,)``."""
        if not self.hard:
            return self.prediction.mask(rate) if self.refined is None else self._through(self.refined, rate)
        rows = zip(self.order.split(1), rate.tolist(), energy(self.encoded.coefficients).split(1), strict=True)
        return torch.cat([top_share(relevance, one, tie) for relevance, one, tie in rows])

    def _through(self, refined: Tensor, rate: Tensor) -> Tensor:
        """Masks ``(B, k)`` of rates ``(B,)`` through `refined` ones, and beyond the start of the `way` on it."""
        own = self._start.mean(1)
        beyond = (rate > 1.001 * own) & (rate < 1) & (own < path_optimizer.HALF) & ~self._walked
        some = beyond.nonzero()[:, 0]
        if len(some):
            with self.rd.classifier.passes_for(some, of=len(own)):
                half = path_optimizer.midpoints(self.rd, self.encoded.of(some), self._start[some], self.seed)
            self._half[some], self._walked = half, self._walked | beyond
        return masks_through(refined, rate, self._start, self._half)

    @property
    def order(self) -> Tensor:
        """What ranks the entries, ``(B, k)``: the logits of the first mask, or those of the refined one with a nudge by
        these, as most of its own are at their lower end.
        """
        if self.refined is None:
            return self.prediction.logits
        return self.refined.clamp(1e-6, 1 - 1e-6).logit() + TIE_BREAK_WEIGHT * self.prediction.logits

    @property
    def own(self) -> Tensor:
        """Rates ``(B,)`` of the refined masks."""
        assert self.refined is not None
        return self.refined.mean(1).nan_to_num(1.0)  # of outputs that are not finite

    def rates(self) -> Tensor:
        """Rates to choose from, ``(B, R)``, rising: evenly spaced on a log scale, and those of the refined masks."""
        rates = torch.logspace(math.log10(RATES[0]), 0, CHOICES // 4, device=self.encoded.image.device)
        rates = rates.expand(len(self.encoded.image), -1)
        return rates if self.refined is None else torch.cat([rates, self.own[:, None]], 1).sort(1).values

    def best(self, lambda_k: float) -> Tensor:
        """The rates ``(B,)`` of lowest ``D + lambda_k * R``; 1 where no distortion is a number."""
        lowest, chosen = self._per_image(math.inf), self._per_image(1.0)
        for column, rate in enumerate(self.rates().unbind(1)):
            cheap = lambda_k * rate < lowest  # of the others the price alone is too high
            if not bool(cheap.any()):
                break
            mean, _ = self._measure(rate, cheap, f"choose {column}", self.choice)
            better = mean + lambda_k * rate < lowest
            lowest, chosen = torch.where(better, mean + lambda_k * rate, lowest), torch.where(better, rate, chosen)
        return chosen

    def below(self, distortion: float) -> Tensor:
        """The lowest rates ``(B,)`` whose distortion is below a bound with the upper end of its interval, else 1."""
        chosen, left = self._per_image(1.0), self._per_image(1.0).bool()
        for column, rate in enumerate(self.rates()[:, :-1].unbind(1)):  # the last is the full mask
            _, high = self._measure(rate, left, f"choose {column}", self.choice)
            # the best of many is partly luck: confirm it on fresh draws
            _, confirmed = self._measure(rate, high < distortion, f"confirm {column}", self.confirmation)
            found = confirmed < distortion
            chosen, left = torch.where(found, rate, chosen), left & ~found
        return chosen

    def _measure(self, rate: Tensor, images: Tensor, stream: str, samples: int) -> tuple[Tensor, Tensor]:
        """Mean distortion and the upper end of its 95 % interval at rates ``(B,)``, infinite but for some `images`."""
        mean, high = self._per_image(math.inf), self._per_image(math.inf)
        some = images.nonzero()[:, 0]
        if len(some):
            encoded, mask = self.encoded.of(some), self.mask(torch.where(images, rate, 0.0))[some]
            with self.rd.classifier.passes_for(some, of=len(images)):
                outcome = self.rd(encoded, mask, NoiseStreams.of(encoded.image, self.seed, stream), samples)
            mean[some] = outcome.distortion.mean(1).to(mean)
            high[some] = mean[some] if encoded.scale is None else outcome.interval()[1].to(mean)
        return mean, high

    def _per_image(self, value: float) -> Tensor:
        """The same value for each image, ``(B,)``."""
        return torch.full_like(self.prediction.logits[:, 0], value)
