"""Schedules of a training run: the learning rate, and the decay of averaged weights."""

from collections.abc import Callable

import torch
from torch import Tensor

from amortex.explainers.optimizers import cosine


def one_cycle(progress: float, rise: float = 0.1, start: float = 0.04) -> float:
    """Factor of the learning rate at a `progress` in [0, 1].

    It rises from `start` to 1 over the share `rise` of the steps, and falls to zero over the others, on cosines.
    """
    if progress < rise:
        return start + (1 - start) * (1 - cosine(progress / rise))
    return cosine(min(1.0, (progress - rise) / (1 - rise)))


def running_mean(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """An exponential mean that forgets the start of training: its decay grows with the steps, up to `decay`."""

    def mean(average: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        current_decay = torch.as_tensor((1 + count) / (10 + count)).clamp(max=decay)
        return torch.lerp(value, average, current_decay.to(value))

    return mean
