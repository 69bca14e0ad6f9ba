"""What a mask predictor returns: masks of any rate, and the rate that a sparsity weight asks for."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from amortex.predictors.budget import masks_of_rate, masks_through
from amortex.predictors.evidence import Evidence
from amortex.predictors.refiner import Hidden
from amortex.reference import Reference

RATES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.5, 0.8)  # where the curve has its corners
CHOICES = 64  # rates that compete for a lambda_k, evenly spaced on a log scale


class Prediction(NamedTuple):
    """Masks of every rate for a batch of images, from one pass."""

    evidence: Evidence
    logits: Tensor  # (B, k): an ordering of the entries, and how sharply the mask distinguishes them
    curve: Tensor  # (B, len(RATES)): predicted distortion at RATES, falling
    hidden: Hidden

    @property
    def reference(self) -> Reference:
        return self.evidence.reference

    def mask(self, rate: float | Tensor) -> Tensor:
        """Masks ``(B, k)`` of mean `rate`, a number or one per image ``(B,)``."""
        rate = torch.as_tensor(rate, device=self.logits.device, dtype=torch.float32)
        return masks_of_rate(self.logits, rate.expand(len(self.logits)))

    def distortion(self, rate: Tensor) -> Tensor:
        """Predicted distortion at rates ``(B, R)``: linear in the logarithm of the rate between corners."""
        corners = torch.tensor((*RATES, 1.0), device=rate.device).log()
        values = F.pad(self.curve, (0, 1))  # the full mask has no distortion
        x = rate.clamp(RATES[0], 1.0).log()
        right = torch.searchsorted(corners, x.detach().contiguous()).clamp(1, len(RATES))
        share = (x - corners[right - 1]) / (corners[right] - corners[right - 1])
        return torch.lerp(values.gather(1, right - 1), values.gather(1, right), share)

    def rate_for(self, lambda_k: float | Tensor) -> Tensor:
        """The rate ``(B,)`` of lowest predicted ``D + lambda_k * R``."""
        rates = torch.logspace(torch.tensor(RATES[0]).log10().item(), 0, CHOICES, device=self.logits.device)
        rates = rates.expand(len(self.logits), -1)
        price = torch.as_tensor(lambda_k, device=self.logits.device, dtype=torch.float32).reshape(-1, 1)
        best = (self.distortion(rates) + price * rates).argmin(1, keepdim=True)
        return rates.gather(1, best)[:, 0]


class Refined(NamedTuple):
    """Masks after learned refinement, and what the looks on the way saw."""

    mask: Tensor  # (B, k)
    damage: Tensor  # (B, k): how much obfuscating an entry disturbs the class, on a log scale; ranks alone matter

    def at(self, rate: Tensor, evenly: bool = False) -> Tensor:
        """Masks ``(B, k)`` of means `rate` ``(B,)``, through these; what they drop rises `evenly`, or by its damage."""
        return masks_through(self.mask, rate, None if evenly else self.damage)
