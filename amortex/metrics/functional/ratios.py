"""Amortized against exact: what is paired, and when training pays."""

import torch
from torch import Tensor


def complete_pairs(a: Tensor, b: Tensor) -> Tensor:
    """Values ``(B,)`` of two methods side by side, ``(B, 2)``: NaN for both where an image lacks one of them.

    >>> complete_pairs(torch.tensor([1.0, torch.nan]), torch.tensor([3.0, 4.0]))
    tensor([[1., 3.],
            [nan, nan]])
    """
    pairs = torch.stack([a, b], 1)
    return pairs.where(pairs.isfinite().all(1, keepdim=True), torch.nan)


def break_even(training_seconds: float, teacher_seconds: Tensor, amortized_seconds: Tensor) -> Tensor:
    """Images after which training and amortized inference cost less than the teacher; infinite where they never do.

    >>> break_even(100.0, torch.tensor([11.0, 1.0]), torch.tensor([1.0, 2.0]))
    tensor([10., inf])
    """
    saved = teacher_seconds - amortized_seconds
    return torch.where(saved > 0, training_seconds / saved, torch.inf)
