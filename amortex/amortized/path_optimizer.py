"""Densification paths: from a refined mask to the full one, through a midpoint that is optimised for all of the path.

A refined mask is an optimum at its own rate. If all that it drops rose evenly from there, evidence for and against the
class would return at different rates, so its probability would over- or undershoot, and distortion would rise with the
rate. Most of that distortion is bias, not noise (docs/research_log.md), so it is cured by moving entries forward and
back. A measurement follows. Where it finds that distortion still rises, or cannot rule it out, steps go on, with more
weight on the rates up to which it rises.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from amortex.amortized.budget import raise_to
from amortex.amortized.config import PathConfig
from amortex.core.nd import local_mean
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.optimizers import RelativeAdam
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion


def path_start(mask: Tensor, config: PathConfig, live: Tensor | None = None) -> Tensor:
    """Where the path starts: masks ``(B, k)`` that rise evenly to the start's rate, if they are below it."""
    return raise_to(mask, config.start_rate, live=live)


def draws_along(
    rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams, images: slice, config: PathConfig
) -> Iterator[tuple[slice, EncodedBatch, tuple[Tensor, ...] | None]]:
    """One draw at each rate of the paths of a batch, in chunks of N rates that go through the classifier together.

    Of each chunk: the place of its rates in `PathConfig.rates`, the inputs, N times in a row each, and their unit noise
    per band, ``(B N, 1, C, *positions)``. The batch is that of some `images` of the streams.
    """
    most = rd.draws_at_once(len(encoded.image))
    for first in range(0, len(config.rates), most):
        chunk = slice(first, first + most)
        count = len(config.rates[chunk])
        noise = rd.noise(encoded, streams, images, count)
        if noise is not None:
            noise = tuple(band.flatten(0, 1)[:, None] for band in noise)
        yield chunk, encoded.repeat(count), noise


def masks_along(start: Tensor, midpoint: Tensor, rates: Sequence[float], live: Tensor | None) -> Tensor:
    """Masks ``(B N, k)`` of N rates on the paths from `start` through `midpoint`, ``(B, k)`` each."""
    lower, upper = (part.repeat_interleave(len(rates), 0) for part in (start, midpoint))
    return raise_to(lower, midpoint.new_tensor(rates).repeat(len(midpoint)), upper, live=live)


class Learned(NamedTuple):
    """Where learned steps lead, instead of the first round of Adam."""

    midpoint: Tensor  # (B, k)
    distortion: Tensor  # (B,), running mean along the path


def optimal_midpoints(
    rd: RateDistortion,
    encoded: EncodedBatch,
    start: Tensor,
    config: PathConfig,
    seed: int = 0,
    learned: Learned | None = None,
) -> Tensor:
    """Masks ``(B, k)`` that the paths from `start` ``(B, k)`` to the full mask lead through.

    Projected Adam, as in CartoonX, but on the mean distortion at several rates along the path, and at a rate that is
    kept instead of a sparsity weight. No entry falls below `start`. Where distortion may still rise, rounds of further
    steps follow; each is kept if distortion rises less. Each input has its own optimiser and noise. Beside others in a
    batch it is the same up to rounding, which may decide about a round.

    Where steps are `learned`, these stand in for the first round.
    """
    midpoints = []
    for images in rd.chunks(len(start), len(config.rates)):
        with rd.classifier.passes_for(images, of=len(start)):
            first = None if learned is None else Learned(*(part[images] for part in learned))
            midpoints.append(PathOptimizer(rd, encoded.of(images), start[images], config, seed).optimize(first))
    return torch.cat(midpoints)


class PathOptimizer(NamedTuple):
    """The paths of as many inputs as go through the classifier together."""

    rd: RateDistortion
    encoded: EncodedBatch
    start: Tensor  # (B, k)
    config: PathConfig = PathConfig()
    seed: int = 0

    def of(self, images: Tensor) -> "PathOptimizer":
        """Those of some of the inputs."""
        return self._replace(encoded=self.encoded.of(images), start=self.start[images])

    def streams(self, stream: str) -> NoiseStreams:
        return NoiseStreams.of(self.encoded.image, self.seed, stream)

    def optimize(self, learned: Learned | None = None) -> Tensor:
        """See `optimal_midpoints`."""
        config = self.config
        if learned is None:
            equal = self.start.new_ones(len(self.start), len(config.rates))
            even = raise_to(self.start, config.midpoint_rate, live=self.encoded.live)
            learned = Learned(*self.steps(even, equal, config.lr, self.streams("way")))
        midpoint, running_distortion = learned
        distortion = torch.zeros_like(midpoint[:, : len(config.measured_rates)])
        rise = torch.zeros_like(running_distortion)
        # where distortion is small along the path, it rose nowhere (docs/research_log.md)
        images = (running_distortion > config.rise).nonzero()[:, 0]
        if len(images) and config.rounds:
            with self.rd.classifier.passes_for(images, of=len(self.start)):
                distortion[images], rise[images] = self.of(images).measure(midpoint[images])
        for number in range(config.rounds):
            images = (rise > config.rise).nonzero()[:, 0]
            if not len(images):
                break
            paths = self.of(images)
            weights, streams = self.focus(distortion[images]), paths.streams(f"way again {number}")
            with self.rd.classifier.passes_for(images, of=len(self.start)):
                candidate, _ = paths.steps(midpoint[images], weights, config.restart_lr, streams)
                measured = paths.measure(candidate)
            better = measured[1] < rise[images]
            for best, latest in zip((midpoint, distortion, rise), (candidate, *measured), strict=True):
                best[images[better]] = latest[better]
            if self.encoded.scale is None:  # without noise the same steps would follow
                rise[images[~better]] = 0
        return midpoint

    @property
    def samples(self) -> int:
        """Noise draws of a measurement."""
        return self.encoded.samples(self.config.samples)

    def measure(self, midpoint: Tensor) -> tuple[Tensor, Tensor]:
        """Distortions ``(B, R)`` at the measured rates, and their largest rise ``(B,)``.

        That is from a rate to a higher one, zero where there is none, with some standard errors on top. All
        measurements of an input are on the same draws.
        """
        masks = [raise_to(self.start, rate, midpoint, live=self.encoded.live) for rate in self.config.measured_rates]
        outputs = self.rd.probabilities(self.encoded, masks, self.streams("way look"), self.samples)
        distortions = torch.stack([self.rd.distortions(self.encoded, part) for part in outputs], 1).to(midpoint)
        rises = distortions[:, None] - distortions[:, :, None]  # (B, from, to, draws)
        errors = self.config.standard_errors * rises.std(3, correction=0) / self.samples**0.5
        return distortions.mean(2), (rises.mean(3) + errors).triu().flatten(1).amax(1)

    def steps(self, midpoint: Tensor, weights: Tensor, lr: float, streams: NoiseStreams) -> tuple[Tensor, Tensor]:
        """Masks ``(B, k)`` after a round of steps from `midpoint`, and the mean distortion ``(B,)`` along their paths.

        The rates of the path have `weights` ``(B, rates)``; `lr` is the learning rate of the first step.
        """
        config, mean = self.config, torch.zeros_like(midpoint)
        adam = RelativeAdam(config.betas, config.eps, midpoint, self.encoded.live)
        running_distortion = torch.zeros_like(midpoint[:, :1])
        for step in range(config.steps):
            distortion, gradient = self.gradient(midpoint, weights, streams)
            running_distortion = torch.lerp(distortion[:, None], running_distortion, config.betas[0])
            unbiased = running_distortion / (1 - config.betas[0] ** (step + 1))
            near = (unbiased.clamp(min=0).sqrt() / config.slow_below).clamp(max=1)
            lr_now = lr * (1 - (1 - config.final_lr_share) * step / config.steps) * near
            midpoint = adam.step(midpoint, gradient, lr_now)
            midpoint = torch.maximum(midpoint.clamp(max=1), self.start)
            midpoint = raise_to(
                self.start, config.midpoint_rate, midpoint, live=self.encoded.live
            )  # back to the rate, from either side
            if step >= config.steps - config.averaged_steps:
                mean += midpoint / config.averaged_steps
        return torch.maximum(mean.clamp(max=1), self.start), running_distortion[:, 0]

    def gradient(self, midpoint: Tensor, weights: Tensor, streams: NoiseStreams) -> tuple[Tensor, Tensor]:
        """Mean distortion along the path, ``(B,)``, and the smoothed gradient of the weighted one, ``(B, k)``."""
        layout, count = self.encoded.layout, len(self.config.rates)
        value, total = torch.zeros_like(midpoint[:, 0]), torch.zeros_like(midpoint)
        for chunk, repeated, noise in draws_along(self.rd, self.encoded, streams, slice(None), self.config):
            with torch.enable_grad():
                leaf = midpoint.detach().requires_grad_()
                mask = masks_along(self.start, leaf, self.config.rates[chunk], repeated.live)
                outputs = self.rd.outputs(repeated, mask, noise)
                distortion = self.rd.distortions(repeated, outputs).to(midpoint).view(len(midpoint), -1)
                (gradient,) = torch.autograd.grad((weights[:, chunk] * distortion).sum() / count, leaf)
            value += distortion.detach().nan_to_num(0).sum(1) / count
            total += gradient.nan_to_num(0, 0, 0)
        bands = [local_mean(band, self.config.smoothing, len(layout.size)) for band in layout.split(total)]
        return value, self.encoded.only_live(layout.join(bands))

    def focus(self, distortion: Tensor) -> Tensor:
        """Weights ``(B, R)`` of the rates by how little `distortion` ``(B, R + 1)``, as measured, falls up to there."""
        lowest = distortion.cummin(1).values[:, :-1]
        lack = (distortion[:, 1:] - lowest + self.config.rise).clamp(min=0)
        return 1 + self.config.focus * lack / distortion.mean(1, keepdim=True).clamp(min=1e-6)
