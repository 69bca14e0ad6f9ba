"""The sparsity weight of each step: one that rises to lambda_k, for learned steps, and one that falls, for settling."""

from dataclasses import dataclass

import torch
from torch import Tensor

from amortex.amortized.config import RefinementSchedule


class RisingWeight:
    """From `initial` up to `lambda_k`, ``(B,)`` each.

    Arguments:
        lambda_k: the weights at the end.
        initial: the weights at the start; higher ones than lambda_k count as lambda_k.
        steps: of the refinement, a number or one per input ``(B,)``.
        schedule: how long they rise, and from where at least.
    """

    def __init__(self, lambda_k: Tensor, initial: Tensor, steps: int | Tensor, schedule: RefinementSchedule) -> None:
        self.lambda_k = lambda_k.clamp(min=schedule.lowest_lambda)
        self.initial = initial.clamp(min=schedule.lowest_lambda).minimum(self.lambda_k)
        self.duration = schedule.rise * torch.as_tensor(steps, device=lambda_k.device)

    def __call__(self, step: int) -> Tensor:
        """The weight ``(B,)`` of a step, counted from 0."""
        progress = ((step + 1) / self.duration).clamp(max=1)
        weight: Tensor = self.initial ** (1 - progress) * self.lambda_k**progress
        return weight


@dataclass(frozen=True)
class FallConfig:
    """How a sparsity weight falls.

    Near a good mask the output hardly misses, and the gradient of one entry is noise. At a higher weight the output
    misses more, and shows what is needed.

    Arguments:
        peak: the weight at the start, as a multiple of lambda_k.
        descent: share of the steps over which it falls to lambda_k.
        tolerance: running distortion, as a share of that of the empty mask, at which it is lambda_k in any case.
        memory: decay of that running distortion, per step.
    """

    peak: float = 50.0
    descent: float = 0.7
    tolerance: float = 0.3
    memory: float = 0.7


class FallingWeight:
    """From a multiple of `lambda_k` down to it, and lower the more of the class is lost.

    Arguments:
        lambda_k: the weight at the end.
        empty: distortions ``(B,)`` of masks that lose the class.
        steps: of the refinement.
        config: of the fall.
    """

    def __init__(self, lambda_k: float, empty: Tensor, steps: int, config: FallConfig) -> None:
        self.lambda_k, self.lost, self.config = lambda_k, config.tolerance * empty.clamp(min=1e-6), config
        self.duration = config.descent * steps
        self.running: Tensor | None = None

    def __call__(self, step: int, distortion: Tensor) -> Tensor:
        """The weight ``(B,)`` of a step, counted from 0, that begins with this distortion ``(B,)``."""
        self.running = distortion if self.running is None else torch.lerp(distortion, self.running, self.config.memory)
        left = max(0.0, 1 - step / self.duration) * (1 - self.running / self.lost).clamp(0, 1)
        weight: Tensor = self.lambda_k * (1 + (self.config.peak - 1) * left)
        return weight
