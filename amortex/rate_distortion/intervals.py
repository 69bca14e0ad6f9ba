"""Exact confidence intervals of shares."""

import torch
from scipy.special import betaincinv
from torch import Tensor

from amortex.rate_distortion import CONFIDENCE


def clopper_pearson(successes: Tensor, draws: int, confidence: float = CONFIDENCE) -> tuple[Tensor, Tensor]:
    """The exact two-sided interval of a probability, from successes ``(B,)`` in so many independent draws.

    It covers the probability at least as often as `confidence` says.

    References:
        Clopper and Pearson, Biometrika 26, 1934.

    >>> [round(end.item(), 4) for end in clopper_pearson(torch.tensor([64]), 64)]
    [0.944, 1.0]
    """
    tail, count = (1 - confidence) / 2, successes.double().cpu().numpy()
    # at the ends the quantile is that of a degenerate distribution: 0 and 1
    low = betaincinv(count.clip(1), draws - count + 1, tail) * (count > 0)
    high = 1 - betaincinv((draws - count).clip(1), count + 1, tail) * (count < draws)
    low, high = (torch.from_numpy(end).to(successes.device, torch.float32) for end in (low, high))
    return low, high
