"""Budget normalisation: masks of exactly the rate asked for, so that a predictor cannot collapse to the empty mask."""

import torch
from torch import Tensor

ROUGH, FINE = 6, 2  # Newton steps on every 17th entry, then on all; float32 is exhausted after 6 to 9 in all
EVERY, LARGE = 17, 4096  # 17 is prime to the widths of bands, which powers of two may divide


def masks_of_rate(logits: Tensor, rate: Tensor, fine: int = FINE) -> Tensor:
    """Masks ``sigmoid(logits + c)`` ``(B, k)``, with one shift c per image such that their means are `rate` ``(B,)``.

    The last Newton step towards c is differentiated with the slope held fixed, which gives the implicit gradient: the
    mean of a mask does not move, whatever the logits do. Masks of one image are nested: at a higher rate no entry is
    lower (to rounding; of logits with a standard deviation far above 10, less exactly). Rates of 0 and 1 give the
    empty and the full mask, others are within 1e-6 of these.
    Without `fine` steps, the means of large masks are `rate` only nearly.
    """
    values = logits if logits.dtype == torch.float64 else logits.float()
    rate = rate.to(values)[:, None]
    wanted = rate.clamp(1e-6, 1 - 1e-6)
    with torch.no_grad():
        shift = wanted.logit() - values.mean(1, keepdim=True)
        for some, steps in ((values[:, :: EVERY if values.shape[1] > LARGE else 1], ROUGH), (values, fine)):
            shift = _solve(some, wanted.logit(), shift, steps)
    mask = (values + shift).sigmoid()
    slope = (mask.detach() * (1 - mask.detach())).mean(1, keepdim=True)
    # the step is tiny but where no float is exact, and there it must not leap
    shift = shift - ((mask.mean(1, keepdim=True) - wanted) / slope.clamp(min=1e-9)).clamp(-1, 1)
    mask = (values + shift).sigmoid()
    if fine:  # exact, even for logits that some steps do not suffice for
        with torch.no_grad():
            mean = mask.mean(1, keepdim=True)
            lower, higher = (wanted / mean.clamp(min=1e-9)).clamp(max=1), (1 - wanted) / (1 - mean).clamp(min=1e-9)
        mask = torch.where(mean < wanted, 1 - (1 - mask) * higher, mask * lower)
    return torch.where(rate <= 0, 0.0, torch.where(rate >= 1, 1.0, mask))


def masks_through(mask: Tensor, rate: Tensor, *stations: Tensor) -> Tensor:
    """Masks of means `rate` ``(B,)`` on the way from the empty mask through `mask` ``(B, k)`` to the full one.

    Below its mean the logits of `mask` are shifted; above, the way leads straight from one of the `stations` to the
    next, masks ``(B, k)`` none of which is below the one before, and to the full mask. Masks of one image are nested.
    """
    mask = mask.float()
    rate, own = rate.to(mask), mask.mean(1)
    lower = masks_of_rate(mask.clamp(1e-6, 1 - 1e-6).logit(), torch.minimum(rate, own))
    return torch.where((rate > own)[:, None], raised(mask, rate, *stations), lower)


def raised(mask: Tensor, rate: Tensor | float, *stations: Tensor) -> Tensor:
    """Masks ``(B, k)`` of means `rate`, a number or ``(B,)``, from `mask` through `stations` to the full one.

    Where `mask` has a higher mean it stays. Gradients are those at fixed means of `mask` and `stations`.
    """
    for station in (*stations, torch.ones_like(mask)):
        with torch.no_grad():
            here = mask.mean(1)
            share = ((rate - here) / (station.mean(1) - here).clamp(min=1e-6)).clamp(0, 1)[:, None]
        mask = torch.lerp(mask, station, share)
    return mask


def _solve(values: Tensor, aim: Tensor, shift: Tensor, steps: int) -> Tensor:
    """Newton's method for ``logit(mean(sigmoid(values + c))) = aim``, nearly straight in c, inside a bracket."""
    low, high = aim - values.amax(1, keepdim=True), aim - values.amin(1, keepdim=True)
    for _ in range(steps):
        shift = shift.clamp(low, high)
        mask = (values + shift).sigmoid()
        mean = mask.mean(1, keepdim=True).clamp(1e-7, 1 - 1e-7)
        slope = (mean - mask.square().mean(1, keepdim=True)) / (mean * (1 - mean))
        short = aim - mean.logit()
        below = short > 0
        low, high = torch.where(below, shift, low), torch.where(below, high, shift)
        newton = shift + short / slope.clamp(min=1e-3)
        shift = torch.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
    return shift
