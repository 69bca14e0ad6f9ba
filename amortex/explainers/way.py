"""The way from refined masks to the full one: through half-full masks that are optimised for all of it.

A refined mask is an optimum at its own rate. If all that it drops rises evenly from there, what speaks for the class in
the surroundings and what speaks against it do not come back in step: on many images the class becomes more probable, or
less, than it is on the image, and distortion rises with the rate. Most of that distortion is bias, not noise
(benchmarks/GAP.md), so moving entries forward and back cures it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from amortex.draws import Draws
from amortex.predictors.budget import raised
from amortex.rate_distortion import RateDistortion
from amortex.reference import Reference

START = 0.06  # all rises evenly up to this rate, so that masks of lower rates cost no steps
HALF = 0.5
RATES = (0.15, 0.3, 0.5, 0.7)  # of the draws of each step, along the way
STEPS, SETTLED = 24, 10  # the mean of the masks after the last ones is less noisy than the last
PASSES = 3 * len(RATES) * STEPS  # classifier passes per image
LR, LAST = 0.06, 0.2  # of the first step, and the share of it that the last one has
NEAR = 0.15  # root of the distortion below which steps become smaller
BETAS, EPS = (0.8, 0.9), 0.1  # of Adam; its epsilon is relative to the gradient of the image
SMOOTH = 5  # entries: what one draw says of an entry is noise, neighbours agree
KEY = repr((START, HALF, RATES, STEPS, SETTLED, LR, LAST, NEAR, BETAS, EPS, SMOOTH))


def begin(mask: Tensor) -> Tensor:
    """Where the way starts: masks ``(B, k)`` that rise evenly to a rate of `START`, if they are below it."""
    return raised(mask, START)


def half_way(rd: RateDistortion, reference: Reference, start: Tensor, draws: Draws) -> Tensor:
    """Masks ``(B, k)`` of rate `HALF` that the way from `start` ``(B, k)`` to the full mask leads through.

    Projected Adam, as in CartoonX, but on the mean distortion at `RATES` along the way, and at a rate that is kept
    instead of a price. No entry falls below `start`. Each image has its own optimiser and noise.
    """
    chunks = rd.chunks(len(start), len(RATES))
    return torch.cat([_half_way(rd, reference.of(some), start[some], draws, some) for some in chunks])


def _half_way(rd: RateDistortion, reference: Reference, start: Tensor, draws: Draws, images: slice) -> Tensor:
    half = raised(start, HALF)
    first, second, settled = (torch.zeros_like(half) for _ in range(3))
    miss = torch.zeros_like(half[:, :1])
    for step in range(STEPS):
        distortion, gradient = _slope(rd, reference, start, half, draws, images)
        first = torch.lerp(gradient, first, BETAS[0])
        second = torch.lerp(gradient.square(), second, BETAS[1])
        miss = torch.lerp(distortion[:, None], miss, BETAS[0])
        ahead, behind = (1 - beta ** (step + 1) for beta in BETAS)
        deviation = (second / behind).sqrt() + EPS * (second / behind).mean(1, keepdim=True).sqrt()
        lr = LR * (1 - (1 - LAST) * step / STEPS) * ((miss / ahead).clamp(min=0).sqrt() / NEAR).clamp(max=1)
        half = half - lr * (first / ahead) / deviation.clamp(min=1e-20)
        half = torch.maximum(half.clamp(max=1), start)
        half = raised(start, HALF, half)  # back to the rate, from above or from below
        if step >= STEPS - SETTLED:
            settled += half / SETTLED
    return torch.maximum(settled.clamp(max=1), start)


def _slope(
    rd: RateDistortion, reference: Reference, start: Tensor, half: Tensor, draws: Draws, images: slice
) -> tuple[Tensor, Tensor]:
    """The mean distortion along the way, ``(B,)``, and its slope with respect to `half`, smoothed, ``(B, k)``."""
    most = max(1, rd.internal_batch_size // len(half))
    value, slope = torch.zeros_like(half[:, 0]), torch.zeros_like(half)
    for some in range(0, len(RATES), most):
        rates = start.new_tensor(RATES[some : some + most])
        count = len(rates)
        noise = rd.noise(reference, draws, images, count)
        if noise is not None:
            noise = tuple(band.flatten(0, 1)[:, None] for band in noise)
        with torch.enable_grad():
            leaf = half.detach().requires_grad_()
            lower, upper = (part.repeat_interleave(count, 0) for part in (start, leaf))
            several = reference.repeat(count)
            outputs = rd.outputs(several, raised(lower, rates.repeat(len(half)), upper), noise)
            distortion = rd.distortions(several, outputs).to(half).view(-1, count).sum(1) / len(RATES)
            (gradient,) = torch.autograd.grad(distortion.sum(), leaf)
        value += distortion.detach().nan_to_num(0)
        slope += gradient.nan_to_num(0, 0, 0)
    bands = reference.layout.split(slope)
    smooth = [F.avg_pool2d(band, SMOOTH, 1, SMOOTH // 2, count_include_pad=False) for band in bands]
    return value, reference.layout.join(smooth)
