"""The sparsity weight of each step of a refinement: one that rises to lambda_k, and one that falls to it.

Both are called with the number of the step, from 0, and the distortion ``(B,)`` that it begins with, and give ``(B,)``.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from amortex.amortized.config import FallConfig, RefinementSchedule
from amortex.amortized.refiner import aimed_at
from amortex.rate_distortion.encoded_batch import EncodedBatch

SparsityWeight = Callable[[int, Tensor], Tensor]


class RisingWeight:
    """From `initial` up to `lambda_k`, ``(B,)`` each, whatever the distortion.

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

    def __call__(self, step: int, distortion: Tensor) -> Tensor:
        progress = ((step + 1) / self.duration).clamp(max=1)
        weight: Tensor = self.initial ** (1 - progress) * self.lambda_k**progress
        return weight


class FallingWeight:
    """From a multiple of `lambda_k` down to it, and lower the more of the class is lost.

    Arguments:
        lambda_k: the weights at the end, ``(B,)``.
        empty: distortions ``(B,)`` of masks that lose the class.
        steps: of the refinement.
        config: of the fall.
    """

    def __init__(self, lambda_k: Tensor, empty: Tensor, steps: int, config: FallConfig) -> None:
        self.lambda_k, self.lost, self.config = lambda_k, config.tolerance * empty.clamp(min=1e-6), config
        self.duration = config.descent * steps
        self.running: Tensor | None = None

    def __call__(self, step: int, distortion: Tensor) -> Tensor:
        self.running = distortion if self.running is None else torch.lerp(distortion, self.running, self.config.memory)
        left = max(0.0, 1 - step / self.duration) * (1 - self.running / self.lost).clamp(0, 1)
        weight: Tensor = self.lambda_k * (1 + (self.config.peak - 1) * left)
        return weight


def weight_of_learned_steps(
    encoded: EncodedBatch, lambda_k: Tensor, initial: Tensor, steps: int, schedule: RefinementSchedule
) -> SparsityWeight:
    """The weight that a schedule has for so many steps. Unless they were trained unrolled, it falls for predicted
    classes alone, see the research log."""
    rising = RisingWeight(lambda_k, initial, steps, schedule)
    falling = FallingWeight(rising.lambda_k, aimed_at(encoded).square(), steps, schedule.fall)
    if schedule.unrolled:
        return falling
    fewest, most = schedule.falling_steps
    if not fewest <= steps <= most:
        return rising
    return lambda step, distortion: torch.where(encoded.predicted, falling(step, distortion), rising(step, distortion))
