"""The way from refined masks to the full one: through half-full masks that are optimised for all of it.

A refined mask is an optimum at its own rate. If all that it drops rises evenly from there, what speaks for the class in
the surroundings and what speaks against it do not come back in step: on many images the class becomes more probable, or
less, than it is on the image, and distortion rises with the rate. Most of that distortion is bias, not noise
(docs/research_log.md), so moving entries forward and back cures it. Where a measurement afterwards finds that distortion
still rises, or cannot rule it out, steps go on, with more weight on rates up to which it rises.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from amortex.amortized.budget import raised
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion

START = 0.06  # all rises evenly up to this rate, so that masks of lower rates cost no steps
HALF = 0.5
RATES = (0.15, 0.3, 0.5, 0.7)  # of the draws of each step, along the way
STEPS, AVERAGED_TAIL = 24, 10  # the mean of the masks after the last ones is less noisy than the last
LR, LAST = 0.06, 0.2  # of the first step, and the share of it that the last one has
NEAR = 0.15  # root of the distortion below which steps become smaller
BETAS, EPS = (0.8, 0.9), 0.1  # of Adam; its epsilon is relative to the gradient of the image
SMOOTH = 5  # entries: what one draw says of an entry is noise, neighbours agree
RISE = 0.01  # of the distortion, that counts
MEASURED_RATES, SAMPLES = (0.1, 0.2, 0.3, 0.5, 0.7), 32  # rates and noise draws that it is measured with
ERRORS = 1.5  # standard errors on top of what is measured
ROUNDS, AGAIN = 5, 0.04  # of further steps at most, and the first learning rate of each
FOCUS = 8  # how much more weight rates up to which distortion rises have in these
KEY = repr((START, HALF, RATES, STEPS, AVERAGED_TAIL, LR, LAST, NEAR, BETAS, EPS, SMOOTH)) + repr(
    (RISE, MEASURED_RATES, SAMPLES, ERRORS, ROUNDS, AGAIN, FOCUS)
)


def begin(mask: Tensor) -> Tensor:
    """Where the way starts: masks ``(B, k)`` that rise evenly to a rate of `START`, if they are below it."""
    return raised(mask, START)


def midpoints(rd: RateDistortion, encoded: EncodedBatch, start: Tensor, seed: int = 0) -> Tensor:
    """Masks ``(B, k)`` of rate `HALF` that the way from `start` ``(B, k)`` to the full mask leads through.

    Projected Adam, as in CartoonX, but on the mean distortion at `RATES` along the way, and at a rate that is kept
    instead of a price. No entry falls below `start`. Where distortion may rise by more than `RISE` afterwards, up to
    `ROUNDS` times as many steps follow, and each round is kept if distortion rises less. Each image has its own
    optimiser and noise; beside others in a batch it is the same up to rounding, which may decide about a round.
    """
    masks = []
    for chunk in rd.chunks(len(start), len(RATES)):
        with rd.classifier.passes_for(chunk, of=len(start)):
            masks.append(PathOptimizer(rd, encoded.of(chunk), start[chunk], seed).optimize())
    return torch.cat(masks)


class PathOptimizer(NamedTuple):
    """The ways of some images, as many as go through the classifier together."""

    rd: RateDistortion
    encoded: EncodedBatch
    start: Tensor  # (B, k)
    seed: int

    def of(self, images: Tensor) -> "PathOptimizer":
        return self._replace(encoded=self.encoded.of(images), start=self.start[images])

    def streams(self, stream: str) -> NoiseStreams:
        return NoiseStreams.of(self.encoded.image, self.seed, stream)

    def optimize(self) -> Tensor:
        """See `midpoints`."""
        alike = self.start.new_ones(len(self.start), len(RATES))
        midpoint, running_distortion = self.steps(raised(self.start, HALF), alike, LR, self.streams("way"))
        distortion, rise = (
            torch.zeros_like(midpoint[:, : len(MEASURED_RATES)]),
            torch.zeros_like(running_distortion),
        )
        some = (running_distortion > RISE).nonzero()[
            :, 0
        ]  # where it is small on the way, it rose nowhere (docs/research_log.md)
        if len(some):
            with self.rd.classifier.passes_for(some, of=len(self.start)):
                distortion[some], rise[some] = self.of(some).measure(midpoint[some])
        for again in range(ROUNDS):
            some = (rise > RISE).nonzero()[:, 0]
            if not len(some):
                break
            ways = self.of(some)
            with self.rd.classifier.passes_for(some, of=len(self.start)):
                other, _ = ways.steps(midpoint[some], focus(distortion[some]), AGAIN, ways.streams(f"way again {again}"))
                measured = ways.measure(other)
            better = measured[1] < rise[some]
            for kept, new in zip((midpoint, distortion, rise), (other, *measured), strict=True):
                kept[some[better]] = new[better]
            if self.encoded.scale is None:  # without noise the same steps would follow
                rise[some[~better]] = 0
        return midpoint

    @property
    def samples(self) -> int:
        """Noise draws of a look."""
        return self.encoded.samples(SAMPLES)

    def measure(self, midpoint: Tensor) -> tuple[Tensor, Tensor]:
        """Distortions ``(B, R)`` at `MEASURED_RATES`; and the largest rise from a rate to a higher one (zero, where there is
        none) with `ERRORS` standard errors on top, ``(B,)``. All looks at an image are on the same draws.
        """
        masks = [raised(self.start, rate, midpoint) for rate in MEASURED_RATES]
        outputs = self.rd.probabilities(self.encoded, masks, self.streams("way look"), self.samples)
        found = torch.stack([self.rd.distortions(self.encoded, part) for part in outputs], 1).to(midpoint)
        rises = found[:, None] - found[:, :, None]  # (B, from, to, draws)
        high = rises.mean(3) + ERRORS * rises.std(3, correction=0) / self.samples**0.5
        return found.mean(2), high.triu().flatten(1).amax(1)

    def steps(self, midpoint: Tensor, weights: Tensor, first_lr: float, streams: NoiseStreams) -> tuple[Tensor, Tensor]:
        """Masks ``(B, k)`` after `STEPS` steps from `midpoint`, and the mean distortion ``(B,)`` along the way to them."""
        first, second, settled = (torch.zeros_like(midpoint) for _ in range(3))
        running_distortion = torch.zeros_like(midpoint[:, :1])
        for step in range(STEPS):
            distortion, gradient = self.slope(midpoint, weights, streams)
            first = torch.lerp(gradient, first, BETAS[0])
            second = torch.lerp(gradient.square(), second, BETAS[1])
            running_distortion = torch.lerp(distortion[:, None], running_distortion, BETAS[0])
            ahead, behind = (1 - beta ** (step + 1) for beta in BETAS)
            deviation = (second / behind).sqrt() + EPS * (second / behind).mean(1, keepdim=True).sqrt()
            near = ((running_distortion / ahead).clamp(min=0).sqrt() / NEAR).clamp(max=1)
            lr = first_lr * (1 - (1 - LAST) * step / STEPS) * near
            midpoint = midpoint - lr * (first / ahead) / deviation.clamp(min=1e-20)
            midpoint = torch.maximum(midpoint.clamp(max=1), self.start)
            midpoint = raised(self.start, HALF, midpoint)  # back to the rate, from above or from below
            if step >= STEPS - AVERAGED_TAIL:
                settled += midpoint / AVERAGED_TAIL
        return torch.maximum(settled.clamp(max=1), self.start), running_distortion[:, 0]

    def slope(self, midpoint: Tensor, weights: Tensor, streams: NoiseStreams) -> tuple[Tensor, Tensor]:
        """Mean distortion along the way, ``(B,)``; by `midpoint`, the smoothed slope of the weighted one, ``(B, k)``."""
        most = max(1, self.rd.internal_batch_size // len(midpoint))
        value, slope = torch.zeros_like(midpoint[:, 0]), torch.zeros_like(midpoint)
        for first in range(0, len(RATES), most):
            some = slice(first, first + most)
            rates = midpoint.new_tensor(RATES[some])
            count = len(rates)
            noise = self.rd.noise(self.encoded, streams, slice(None), count)
            if noise is not None:
                noise = tuple(band.flatten(0, 1)[:, None] for band in noise)
            with torch.enable_grad():
                leaf = midpoint.detach().requires_grad_()
                lower, upper = (part.repeat_interleave(count, 0) for part in (self.start, leaf))
                several = self.encoded.repeat(count)
                outputs = self.rd.outputs(several, raised(lower, rates.repeat(len(midpoint)), upper), noise)
                distortion = self.rd.distortions(several, outputs).to(midpoint).view(-1, count)
                (gradient,) = torch.autograd.grad((weights[:, some] * distortion).sum() / len(RATES), leaf)
            value += distortion.detach().nan_to_num(0).sum(1) / len(RATES)
            slope += gradient.nan_to_num(0, 0, 0)
        bands = self.encoded.layout.split(slope)
        smooth = [F.avg_pool2d(band, SMOOTH, 1, SMOOTH // 2, count_include_pad=False) for band in bands]
        return value, self.encoded.layout.join(smooth)


def focus(distortion: Tensor) -> Tensor:
    """Weights ``(B, R)`` of `RATES` by how little distortion ``(B, R + 1)`` at `MEASURED_RATES` falls up to there."""
    lowest = distortion.cummin(1).values[:, :-1]
    lack = (distortion[:, 1:] - lowest + RISE).clamp(min=0)
    return 1 + FOCUS * lack / distortion.mean(1, keepdim=True).clamp(min=1e-6)
