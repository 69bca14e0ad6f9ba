"""Correlations: of attributions with what is lost without them, and of explanations with each other."""

import torch
from torch import Tensor

from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams, uniform
from amortex.explainers.base import Explanation
from amortex.metrics.functional.curves import kept_entries, reduced_probability
from amortex.rate_distortion.encoded_batch import EncodedBatch, class_probability
from amortex.rate_distortion.pipeline import RateDistortion


def random_subsets(encoded: EncodedBatch, count: int, share: float, seed: int = EVALUATION_SEED) -> Tensor:
    """Random subsets of the share of live entries per image, ``(B, count, k)`` bool, the same for every method."""
    k = encoded.layout.k
    numbers = NoiseStreams.of(encoded.image, seed, "subsets").fill(
        uniform, slice(None), count, (k,), encoded.image.dtype
    )
    subsets = torch.zeros(numbers.shape, dtype=torch.bool, device=numbers.device)
    sizes = kept_entries(encoded, share).reshape(-1, 1).expand(len(numbers), 1)
    for index, size in enumerate(sizes[:, 0].int().tolist()):
        values = numbers[index] if encoded.live is None else numbers[index].masked_fill(~encoded.live[index], -1)
        subsets[index].scatter_(-1, values.topk(size, dim=-1, sorted=False).indices, True)
    return subsets


def subset_drops(rd: RateDistortion, encoded: EncodedBatch, subsets: Tensor) -> Tensor:
    """``Phi_c(x) - Phi_c(x with a subset set to zero)``, ``(B, N)``, for N subsets ``(B, N, k)`` per image."""
    return class_probability(encoded)[:, None] - reduced_probability(rd, encoded, ~subsets)


def mu_fidelity(explanation: Explanation, subsets: Tensor, drops: Tensor) -> Tensor:
    """Pearson correlation ``(B,)`` of the attribution in subsets ``(B, N, k)`` and the `drops` ``(B, N)`` without them.

    The attribution is signed where the method has signs. NaN where either side does not vary (Bhatt et al. 2020).

    >>> subsets = random_subsets(explanation.encoded, count=4, share=0.2)
    >>> mu_fidelity(explanation, subsets, subset_drops(rd, explanation.encoded, subsets)).shape
    torch.Size([3])
    """
    values = explanation.relevance if explanation.signed is None else explanation.signed
    sums = torch.stack([(value * subset).sum(-1) for value, subset in zip(values, subsets, strict=True)])
    return pearson(sums, drops)


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Correlation along the last axis; NaN where one side is constant.

    >>> round(pearson(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-1.0, -2.0, -3.0])).item(), 3)
    -1.0
    """
    a, b = (values.double() - values.double().mean(-1, keepdim=True) for values in (a, b))
    norms = a.norm(dim=-1) * b.norm(dim=-1)
    return torch.where(norms > 0, (a * b).sum(-1) / norms, torch.nan)


def spearman_within_levels(a: Tensor, b: Tensor, level: Tensor, live: Tensor | None = None) -> Tensor:
    """Rank correlation of two relevances ``(B, k)`` within each level of the entries ``(k,)``, ``(B, levels)``.

    Over all entries at once any two explanations correlate, because levels do. Ties share their mean rank. Entries that
    are not `live` ``(B, k)`` are left out: any two explanations have zeros there. NaN where there is nothing to rank.

    >>> a, level = torch.tensor([[1.0, 2.0, 3.0, 9.0, 8.0]]), torch.tensor([0, 0, 0, 1, 1])
    >>> spearman_within_levels(a, a.square(), level).round(decimals=3).tolist()
    [[1.0, 1.0]]
    """
    levels = level.unique()
    if live is None:
        return _within_levels(a, b, level, levels)
    rows = zip(a, b, live, strict=True)
    return torch.cat([_within_levels(x[None, kept], y[None, kept], level[kept], levels) for x, y, kept in rows])


def _within_levels(a: Tensor, b: Tensor, level: Tensor, levels: Tensor) -> Tensor:
    on = [level == index for index in levels]
    return torch.stack([pearson(mean_ranks(a[:, here]), mean_ranks(b[:, here])) for here in on], 1)


def mean_ranks(values: Tensor) -> Tensor:
    """Ranks ``(B, k)`` along the last axis, from 1; equal values share the mean of their ranks.

    >>> mean_ranks(torch.tensor([[5.0, 7.0, 7.0, 9.0]]))
    tensor([[1.0000, 2.5000, 2.5000, 4.0000]], dtype=torch.float64)
    """
    rows = []
    for row in values:
        _, inverse, counts = row.unique(return_inverse=True, return_counts=True)
        last = counts.cumsum(0).double()
        rows.append((last - (counts - 1) / 2)[inverse])
    return torch.stack(rows)
