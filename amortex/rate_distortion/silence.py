"""Digital silence: exact zeros at the two ends of a sound, with which recordings and readers fill up to a length.

It is no part of the signal. Entries of a mask that see nothing else are not *live*: their coefficients are exactly
zero, they have no part in the statistics of the noise, stay zero, and cost no rate.
"""

import torch
from torch import Tensor

from amortex.transforms.base import Transform


def sounding(signal: Tensor) -> Tensor:
    """Whether samples of sounds ``(B, C, T)`` are between the first and the last that is not zero, ``(B, T)``.

    All samples of a sound are that has nothing but zeros, which fill up nothing.

    >>> sounding(torch.tensor([[[0.0, 0.5, 0.0, -0.5, 0.0]]])).int()
    tensor([[0, 1, 1, 1, 0]], dtype=torch.int32)
    """
    heard = (signal != 0).any(1)
    before, after = heard.cumsum(1), heard.flip(1).cumsum(1).flip(1)
    return ((before > 0) & (after > 0)) | ~heard.any(1, keepdim=True)


def live_entries(transform: Transform, signal: Tensor) -> Tensor | None:
    """Which entries of the masks of signals ``(B, C, *size)`` are live, ``(B, k)``; None where all are.

    Only sounds have silence. A black border is part of a picture.
    """
    if signal.ndim != 3:
        return None
    span, exporting = sounding(signal), torch.compiler.is_exporting()  # a graph holds no decisions
    if not exporting and bool(span.all()):
        return None
    live = transform.reaches(span[:, None])
    return None if not exporting and bool(live.all()) else live
