"""Budget normalisation: masks of exactly the rate asked for, so that a predictor cannot collapse to the empty mask."""

import torch
from torch import Tensor

ROUGH, FINE = 6, 2  # Newton steps on every 17th entry, then on all; float32 is exhausted after 6 to 9 in all
EVERY, LARGE = 17, 4096  # 17 is prime to the widths of bands, which powers of two may divide
# On the way through a mask, what it drops rises evenly up to twice the rate of the mask, within `EVEN_UP_TO`, and again
# from `EVEN_FROM` on; between, as this power of the rate.
EVEN_UP_TO, EVEN_FROM, SLOWER = (0.05, 0.1), 0.3, 0.6


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


def masks_through(mask: Tensor, rate: Tensor, damage: Tensor | None = None) -> Tensor:
    """Masks of means `rate` ``(B,)`` on the way from the empty mask through `mask` ``(B, k)`` to the full one.

    Below its mean the logits of `mask` are shifted. Above, what it drops rises evenly, which brings the surroundings
    back; but half-way they disturb many a class more than they help it. So with the `damage` of entries ``(B, k)``,
    between about 10 and 30 % ever less rises evenly, and for the rest those of the least damage are let in whole.
    Distortion then rises with the rate on few images, and for that falls more slowly on the others (benchmarks/GAP.md).
    Masks of one image are nested, to rounding.
    """
    mask, own = mask.float(), mask.float().mean(1)
    rate = rate.to(mask)
    lower = masks_of_rate(mask.clamp(1e-6, 1 - 1e-6).logit(), torch.minimum(rate, own))
    higher = _raised(mask if damage is None else _settled(mask, rate, damage), rate)
    return torch.where((rate > own)[:, None], higher, lower)


def _settled(mask: Tensor, rate: Tensor, damage: Tensor) -> Tensor:
    """Where masks ``(B, k)`` are on the way to their `rate` ``(B,)`` before all that is left rises evenly."""
    own = mask.mean(1)
    first = torch.maximum((2 * own).clamp(*EVEN_UP_TO), own)
    middle = torch.minimum(rate, first.clamp(min=EVEN_FROM))
    even = torch.where(middle > first, first * (middle / first) ** SLOWER, middle)
    return _let_in(_raised(mask, even), middle, damage)


def _raised(mask: Tensor, rate: Tensor) -> Tensor:
    """Masks whose means are `rate` ``(B,)``, where they are lower, by the same share of what each entry lacks."""
    own = mask.mean(1)
    share = ((rate - own) / (1 - own).clamp(min=1e-6)).clamp(0, 1)
    return torch.lerp(mask, torch.ones_like(mask), share[:, None])


def _let_in(mask: Tensor, rate: Tensor, damage: Tensor) -> Tensor:
    """Masks whose means are `rate` ``(B,)``, where they are lower, by entries of the least damage that become one."""
    order = damage.argsort(dim=1, stable=True)
    lack = (1 - mask).gather(1, order)
    missing = ((rate - mask.mean(1)) * mask.shape[1]).clamp(min=0)[:, None]
    # the last of them in part
    share = ((missing - (lack.cumsum(1) - lack)) / lack.clamp(min=1e-6)).clamp(0, 1)
    return mask + torch.zeros_like(mask).scatter(1, order, lack * share)


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
