"""From relevance to masks: orderings, ties, and masks that keep an exact share."""

import torch
from torch import Tensor

from amortex.core.layout import Coefficients


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


def scale_profile(relevance: Tensor, layout_level: Tensor, levels: int) -> Tensor:
    """Share of the relevance ``(B, k)`` per scale, ``(B, levels + 1)``, low-pass first, then level 1 (finest) to J.

    Rows sum to one (zero where an image has no relevance at all).
    """
    totals = torch.nn.functional.one_hot(layout_level, levels + 1).to(relevance.dtype)
    shares = relevance @ totals
    return shares / shares.sum(-1, keepdim=True).clamp(min=torch.finfo(shares.dtype).tiny)
