"""From relevance to masks: orderings, ties, and masks that keep an exact share."""

import math

import torch
from torch import Tensor

from amortex.core.layout import Coefficients

LOWEST_RATE = 0.005  # that rates are chosen from


def energy(coefficients: Coefficients) -> Tensor:
    """``|h|^2`` summed over channels, ``(B, k)``."""
    return coefficients.flat.abs().square().sum(1)


def order(relevance: Tensor, tie_break: Tensor | None = None) -> Tensor:
    """Indices ``(B, k)`` of the entries by decreasing relevance ``(B, k)``; equal ones by decreasing `tie_break`.

    Optimised masks have many exact zeros and ones, so ties decide curves. amortex breaks them by coefficient energy.
    """
    if tie_break is None:
        return relevance.argsort(dim=-1, descending=True, stable=True)
    first = tie_break.argsort(dim=-1, descending=True, stable=True)
    return first.gather(-1, relevance.gather(-1, first).argsort(dim=-1, descending=True, stable=True))


def ranks(relevance: Tensor) -> Tensor:
    """Rank transform to (0, 1]: the most relevant entry becomes 1, the least 1 / k."""
    k = relevance.shape[-1]
    steps = torch.arange(k, 0, -1, dtype=relevance.dtype, device=relevance.device) / k
    return torch.empty_like(relevance).scatter_(-1, order(relevance), steps.expand_as(relevance))


def top_share(relevance: Tensor, rate: float, tie_break: Tensor | None = None) -> Tensor:
    """Hard mask ``(B, k)`` that keeps exactly the ``round(rate * k)`` most relevant entries."""
    retained = order(relevance, tie_break)[..., : round(rate * relevance.shape[-1])]
    return torch.zeros_like(relevance).scatter_(-1, retained, 1.0)


def log_spaced_rates(count: int, device: torch.device) -> Tensor:
    """Rates from 0.5 % to 1, evenly spaced on a log scale."""
    return torch.logspace(math.log10(LOWEST_RATE), 0, count, device=device, dtype=torch.float32)


def scale_profile(relevance: Tensor, level: Tensor, levels: int) -> Tensor:
    """Share of the relevance ``(B, k)`` per scale, ``(B, levels + 1)``: low-pass, then level 1 (finest) to J.

    Each row sums to one, or to zero without any relevance. `level` is `Layout.level`.
    """
    membership = torch.nn.functional.one_hot(level, levels + 1).to(relevance.dtype)
    totals = relevance @ membership
    return totals / totals.sum(-1, keepdim=True).clamp(min=torch.finfo(totals.dtype).tiny)
