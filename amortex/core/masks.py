"""Rates of masks, and from relevance to masks: orderings, ties, and masks that keep an exact share.

Entries that are not *live* belong to digital silence, see `amortex.rate_distortion.silence`: they cost no rate. `live`
is ``(B, k)``, or None where all are.
"""

import math

import torch
from torch import Tensor

from amortex.core.layout import Coefficients

LOWEST_RATE = 0.005  # that rates are chosen from


def energy(coefficients: Coefficients) -> Tensor:
    """``|h|^2`` summed over channels, ``(B, k)``."""
    return coefficients.flat.abs().square().sum(1)


def rate(mask: Tensor, live: Tensor | None = None) -> Tensor:
    """Rate R of masks ``(B, k)``, ``(B,)``: their mean over live entries. So is that of any other values.

    >>> rate(torch.tensor([[1.0, 0.5, 0.0, 0.0]]), torch.tensor([[True, True, True, False]]))
    tensor([0.5000])
    """
    if live is None:
        return mask.mean(-1)
    return mask.masked_fill(~live, 0).sum(-1) / live.sum(-1).clamp(min=1)


def entries(k: int, live: Tensor | None = None) -> int | Tensor:
    """Number of live entries among k: one number, or one per input ``(B, 1)``."""
    return k if live is None else live.sum(-1, keepdim=True)


def only_live(values: Tensor, live: Tensor | None = None) -> Tensor:
    """Masks or relevance ``(B, k)`` with zeros where entries are not live."""
    return values if live is None else values.masked_fill(~live, 0)


def order(relevance: Tensor, tie_break: Tensor | None = None, live: Tensor | None = None) -> Tensor:
    """Indices ``(B, k)`` of the entries by decreasing relevance ``(B, k)``; equal ones by decreasing `tie_break`.

    Optimised masks have many exact zeros and ones, so ties decide curves. amortex breaks them by coefficient energy.
    Entries that are not live come last.
    """
    if live is not None:
        relevance = relevance.masked_fill(~live, -math.inf)
    if tie_break is None:
        return relevance.argsort(dim=-1, descending=True, stable=True)
    first = tie_break.argsort(dim=-1, descending=True, stable=True)
    return first.gather(-1, relevance.gather(-1, first).argsort(dim=-1, descending=True, stable=True))


def ranks(relevance: Tensor, live: Tensor | None = None) -> Tensor:
    """Rank transform to (0, 1]: the most relevant of n live entries becomes 1, the least 1 / n; the others become 0."""
    k = relevance.shape[-1]
    count = entries(k, live)
    place = torch.arange(k, dtype=relevance.dtype, device=relevance.device)
    steps = ((count - place) / count).clamp(min=0)
    return torch.empty_like(relevance).scatter_(-1, order(relevance, live=live), steps.expand_as(relevance))


def top_share(
    relevance: Tensor, rate: float | Tensor, tie_break: Tensor | None = None, live: Tensor | None = None
) -> Tensor:
    """Hard mask ``(B, k)`` that keeps exactly the ``round(rate * n)`` most relevant of n live entries.

    `rate` is a number, or one per input ``(B,)``.
    """
    count = entries(relevance.shape[-1], live)
    share = torch.as_tensor(rate, dtype=torch.float64, device=relevance.device).reshape(-1, 1)
    place = torch.arange(relevance.shape[-1], device=relevance.device)
    retained = (place < (share * count).round()).to(relevance.dtype)
    return torch.zeros_like(relevance).scatter_(-1, order(relevance, tie_break, live), retained.expand_as(relevance))


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
