"""Budget normalisation: masks of exactly the rate asked for, so that a predictor cannot collapse to the empty mask."""

import torch
from torch import Tensor

from amortex.core.masks import only_live
from amortex.core.masks import rate as rate_of

# Newton steps on a sample of the entries, then on all; float32 is exhausted after 6 to 9 in all
SAMPLE_STEPS, FINE_STEPS = 6, 2
SAMPLE_STRIDE, SMALLEST_SAMPLED = 17, 4096  # 17 is prime to the widths of bands, which powers of two may divide


def masks_of_rate(logits: Tensor, rate: Tensor, fine_steps: int = FINE_STEPS, live: Tensor | None = None) -> Tensor:
    """Masks ``sigmoid(logits + c)`` ``(B, k)``, with one shift c per input such that their rates are `rate` ``(B,)``.

    The last Newton step towards c is differentiated with the slope held fixed, which gives the implicit gradient: the
    mean of a mask does not move, whatever the logits do. Masks of one input are nested: at a higher rate no entry is
    lower (to rounding; of logits with a standard deviation far above 10, less exactly). Rates of 0 and 1 give the
    empty and the full mask, others are within 1e-6 of these.
    Without `fine_steps`, the means of large masks are `rate` only nearly. Means are over `live` entries ``(B, k)``; the
    others are zero.
    """
    values = logits if logits.dtype == torch.float64 else logits.float()
    rate = rate.to(values)[:, None]
    aim = rate.clamp(1e-6, 1 - 1e-6)
    with torch.no_grad():
        shift = aim.logit() - _mean(values, live)
        every = SAMPLE_STRIDE if values.shape[1] > SMALLEST_SAMPLED else 1
        sample = None if live is None else live[:, ::every]
        shift = _solve(values[:, ::every], aim.logit(), shift, SAMPLE_STEPS, sample)
        shift = _solve(values, aim.logit(), shift, fine_steps, live)
    mask = (values + shift).sigmoid()
    slope = _mean(mask.detach() * (1 - mask.detach()), live)
    # the step is tiny, except where no float is exact: there it must not leap
    shift = shift - ((_mean(mask, live) - aim) / slope.clamp(min=1e-9)).clamp(-1, 1)
    mask = (values + shift).sigmoid()
    if fine_steps:  # exact, even where Newton's method has not converged
        with torch.no_grad():
            mean = _mean(mask, live)
            lower, higher = (aim / mean.clamp(min=1e-9)).clamp(max=1), (1 - aim) / (1 - mean).clamp(min=1e-9)
        mask = torch.where(mean < aim, 1 - (1 - mask) * higher, mask * lower)
    return only_live(torch.where(rate <= 0, 0.0, torch.where(rate >= 1, 1.0, mask)), live)


def masks_through(mask: Tensor, rate: Tensor, *waypoints: Tensor, live: Tensor | None = None) -> Tensor:
    """Masks of means `rate` ``(B,)`` on the path from the empty mask through `mask` ``(B, k)`` to the full one.

    Below its mean the logits of `mask` are shifted. Above, the path is straight from each of the `waypoints` to the
    next, and to the full mask. Waypoints are masks ``(B, k)``, none of which is below the one before. Masks of one
    input are nested.
    """
    mask = mask.float()
    rate, mean = rate.to(mask), rate_of(mask, live)
    lower = masks_of_rate(mask.clamp(1e-6, 1 - 1e-6).logit(), torch.minimum(rate, mean), live=live)
    return torch.where((rate > mean)[:, None], raise_to(mask, rate, *waypoints, live=live), lower)


def raise_to(mask: Tensor, rate: Tensor | float, *waypoints: Tensor, live: Tensor | None = None) -> Tensor:
    """Masks ``(B, k)`` of means `rate`, a number or ``(B,)``, from `mask` through `waypoints` to the full one.

    Where `mask` has a higher mean it stays. Gradients are those at fixed means of `mask` and `waypoints`.
    """
    for waypoint in (*waypoints, only_live(torch.ones_like(mask), live)):
        with torch.no_grad():
            mean = rate_of(mask, live)
            share = ((rate - mean) / (rate_of(waypoint, live) - mean).clamp(min=1e-6)).clamp(0, 1)[:, None]
        mask = torch.lerp(mask, waypoint, share)
    return mask


def _mean(values: Tensor, live: Tensor | None) -> Tensor:
    """Mean over live entries, ``(B, 1)``."""
    return values.mean(1, keepdim=True) if live is None else rate_of(values, live)[:, None]


def _solve(values: Tensor, aim: Tensor, shift: Tensor, steps: int, live: Tensor | None) -> Tensor:
    """Newton's method for ``logit(mean(sigmoid(values + c))) = aim``, nearly straight in c, inside a bracket."""
    low, high = aim - values.amax(1, keepdim=True), aim - values.amin(1, keepdim=True)
    for _ in range(steps):
        shift = shift.clamp(low, high)
        mask = (values + shift).sigmoid()
        mean = _mean(mask, live).clamp(1e-7, 1 - 1e-7)
        slope = (mean - _mean(mask.square(), live)) / (mean * (1 - mean))
        residual = aim - mean.logit()
        below = residual > 0
        low, high = torch.where(below, shift, low), torch.where(below, high, shift)
        newton = shift + residual / slope.clamp(min=1e-3)
        shift = torch.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
    return shift
