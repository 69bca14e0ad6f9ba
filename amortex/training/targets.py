"""Which class an input is explained for in training: the predicted one, or now and then another probable one."""

import torch
from torch import Tensor

from amortex.core.noise_streams import NoiseStreams, uniform

PROBABLE = 5  # classes that are drawn from, the predicted one among them


def drawn_targets(probabilities: Tensor, share: float, numbers: list[int], seed: int) -> Tensor:
    """Classes ``(B,)`` for outputs ``(B, M)`` of the samples of these `numbers`.

    A `share` of the inputs gets one of the other `PROBABLE` classes, in proportion to the root of its probability: most
    second classes are far less probable than the first, and people ask for them all the same.
    """
    values, classes = probabilities.topk(min(PROBABLE, probabilities.shape[1]), dim=1)
    draws = NoiseStreams.numbered(numbers, seed, "target").fill(uniform, slice(None), 1, (2,), torch.float32)[:, 0]
    is_other, place = draws.to(values.device).unbind(1)
    reached = values[:, 1:].sqrt().cumsum(1)
    other = 1 + (reached < place[:, None] * reached[:, -1:]).sum(1).clamp(max=classes.shape[1] - 2)
    return classes.gather(1, torch.where(is_other < share, other, 0)[:, None])[:, 0]
