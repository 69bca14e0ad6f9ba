"""From relevance to masks: orderings, ties, and masks that keep an exact share."""

import torch
from torch import Tensor

from amortex.types import Coefficients


def energy(coefficients: Coefficients) -> Tensor:
    """``|h|^2`` summed over colour channels, ``(B, k)``."""
    return coefficients.flat.abs().square().sum(1)


def order(relevance: Tensor, tie_break: Tensor | None = None) -> Tensor:
    """Indices of the entries by decreasing relevance ``(B, k)``; equal ones by decreasing `tie_break`.

    Optimised masks have many exact zeros and ones, so ties decide curves: amortex breaks them by coefficient energy.
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
    keep = order(relevance, tie_break)[..., : round(rate * relevance.shape[-1])]
    return torch.zeros_like(relevance).scatter_(-1, keep, 1.0)
