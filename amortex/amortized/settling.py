"""Settling: what follows learned steps. An optimiser that drops what a nearly right mask keeps too much."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from amortex.amortized.config import FallConfig
from amortex.amortized.refiner import aimed_at
from amortex.amortized.sparsity_weights import FallingWeight
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import OnStep
from amortex.explainers.optimizers import RelativeAdam, cosine
from amortex.rate_distortion.distortions import KL_WEIGHT, of_class
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion

DRAWS_OF_NOTHING = 2  # that measure the empty mask before the first step
SMALLEST_PROBABILITY, LARGEST_CURVATURE = 1e-6, 50.0  # of the divergence, which has neither at a lost class


@dataclass(frozen=True)
class SettlingConfig:
    """How settling moves masks.

    Its values are the best of a search on photographs of the training set, see the research log.

    Arguments:
        fall: of the sparsity weight.
        lr: what an entry moves by at most in the first step; falls to zero on a cosine.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the root of the latter, as a multiple of its root mean square over the entries that are kept.
        depth: how far below 0 the value behind a mask entry may lie; an entry that is not wanted sinks there, and noise
            does not lift it.
        growth: an entry that is dropped comes back where its mean gradient is this many standard errors from zero.
        averaged_tail: share of the last steps whose masks are averaged.
    """

    fall: FallConfig = field(default_factory=lambda: FallConfig(peak=50.0))
    lr: float = 0.05
    betas: tuple[float, float] = (0.8, 0.99)
    eps: float = 0.1
    depth: float = 1.0
    growth: float = 3.0
    averaged_tail: float = 0.06


@torch.no_grad()
def settle(
    rd: RateDistortion,
    encoded: EncodedBatch,
    mask: Tensor,
    lambda_k: float,
    steps: int,
    streams: NoiseStreams,
    on_step: OnStep = lambda step, mask: None,
    config: SettlingConfig | None = None,
) -> Tensor:
    """Masks ``(B, k)`` after `steps` from masks that are nearly right, each of one forward and backward pass.

    Adam on masks that are clipped to [0, 1] lets entries that do not matter wander upwards: their gradient is noise,
    and at zero they can only rise. Here they sink below zero, and return only if their gradient is not noise. The
    gradient is the one of `expected_gradient`.
    """
    config = config or SettlingConfig()
    empty = rd(encoded, torch.zeros_like(mask), streams, DRAWS_OF_NOTHING).distortion.mean(1)
    lambda_t = FallingWeight(torch.full_like(empty, lambda_k), empty, steps, config.fall)
    value, mean = mask.clone(), torch.zeros_like(mask)
    adam = RelativeAdam(config.betas, config.eps, mask)
    share_of_noise = (
        (1 - config.betas[0]) / (1 + config.betas[0])
    ) ** 0.5  # deviation of a running mean of noise, over that of the noise
    averaged = max(1, round(config.averaged_tail * steps))
    for step in range(steps):
        distortion, gradient = expected_gradient(rd, encoded, value.clamp(0, 1), streams)
        gradient += lambda_t(step, distortion)[:, None] / encoded.entries
        direction, variance = adam.moments(gradient)
        kept = value > 0
        typical = ((variance * kept).sum(1, keepdim=True) / kept.sum(1, keepdim=True).clamp(min=1)).sqrt()
        deviation = variance.sqrt()
        lr = config.lr * cosine(step / steps)
        moved = value - lr * direction / (deviation + config.eps * typical).clamp(min=1e-20)
        wanted = -direction > config.growth * share_of_noise * (deviation + 0.1 * typical)
        value = torch.where(kept | wanted, moved.clamp(-config.depth, 1), value)
        if step >= steps - averaged:
            mean += value.clamp(0, 1) / averaged
        on_step(step + 1, value.clamp(0, 1))
    return mean if steps else mask


def expected_gradient(
    rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, streams: NoiseStreams, divergence: float = KL_WEIGHT
) -> tuple[Tensor, Tensor]:
    """Distortion ``(B,)`` at one draw each, and its gradient ``(B, k)`` with the entry's own noise averaged out.

    The coefficient of an entry is ``c = s h + (1 - s) v``, so that ``dD/ds = dD/dc (h - v)``. The noise v of the entry
    itself is about half of the variance of this, and its mean is known: by Stein's lemma ``E[dD/dc (v - mu)]`` is
    ``(1 - s) sigma^2 E[d^2 D/dc^2]``. The curvature is approximated by that of the distortion as a function of the
    output, times the squared gradient of the output (Gauss-Newton). The estimate therefore has about half the
    variance, and a bias, which is large for entries that are kept in part (see the research log).

    Distortions that are no function of the class's probability, and obfuscations without noise, have the plain
    gradient. As in training, a little of a `divergence` is added to it, which does not vanish where the class is lost.
    """
    if encoded.scale is None or rd.distortion not in ("label_l2", "label_max"):
        return rd.value_and_gradient(encoded, mask, streams, 1)
    parts = [
        _expected_gradient(rd, encoded.of(images), mask[images], streams, images, divergence)
        for images in rd.chunks(len(encoded.image))
    ]
    distortion, gradient = (torch.cat(part) for part in zip(*parts, strict=True))
    return distortion, gradient.nan_to_num(0, 0, 0)


def _expected_gradient(
    rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, streams: NoiseStreams, images: slice, divergence: float
) -> tuple[Tensor, Tensor]:
    layout = encoded.layout
    noise = rd.noise(encoded, streams, images, 1)
    assert noise is not None
    mixed = rd.mix(encoded, mask, noise)
    mixed = mixed.map(lambda band: band.detach().requires_grad_())
    with torch.enable_grad():
        outputs = rd.phi(rd.picture(mixed))
        q = of_class(outputs, encoded.target)
        gradient = layout.join(torch.autograd.grad(q.sum(), mixed.bands))
    distortion = rd.distortions(encoded, outputs.detach()[:, None])[:, 0]
    slope, curvature = _derivatives(rd, encoded, q.detach(), divergence)
    assert encoded.scale is not None
    towards = gradient * (encoded.coefficients.flat - layout.join(encoded.location))
    loudness = (gradient * layout.join(encoded.scale)).square()
    curvature = curvature * rd.obfuscation.variances(noise)
    return distortion, slope[:, None] * towards.sum(1) - curvature[:, None] * (1 - mask) * loudness.sum(1)


def _derivatives(rd: RateDistortion, encoded: EncodedBatch, q: Tensor, divergence: float) -> tuple[Tensor, Tensor]:
    """First and second derivative ``(B,)`` of what is minimised by the class's probability q ``(B,)``."""
    p = aimed_at(encoded)
    is_squared = encoded.predicted & (rd.distortion == "label_l2")
    slope = torch.where(is_squared, 2 * (q - p), (q - 1).sign())
    curvature = torch.where(is_squared, 2.0, 0.0)
    q = q.clamp(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    slope = slope + divergence * ((1 - p) / (1 - q) - p / q)
    curvature = curvature + divergence * ((1 - p) / (1 - q).square() + p / q.square())
    return slope, curvature.clamp(max=LARGEST_CURVATURE)
