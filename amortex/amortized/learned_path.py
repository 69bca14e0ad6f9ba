"""Learned steps of a densification path: a network moves its midpoint by what gradient probes along it show."""

from typing import NamedTuple

import torch
from torch import Tensor

from amortex.amortized.budget import masks_of_rate
from amortex.amortized.config import PathConfig
from amortex.amortized.evidence import probe_draws, signals
from amortex.amortized.moves import Hidden, Moves
from amortex.amortized.path_optimizer import Learned, draws_along, masks_along
from amortex.core.masks import only_live, rate
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.distortions import of_class
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion

MEMORY = 0.6  # decay of running means over the last steps
GAIN_SCALE = 3.0  # marginal gains below it are seen in proportion, those above on a log scale
LARGEST_LOGIT = 6.0  # of entries of the midpoint: all of them can still move
RATES = 4  # along the path, that the network is made for
SIGNALS_PER_ENTRY, NUMBERS_PER_INPUT = 14, 5 + 2 * RATES


class PathBatch(NamedTuple):
    """Paths of a batch of inputs."""

    encoded: EncodedBatch
    contrast: Tensor  # (B, k), see `Evidence`
    hidden: Hidden
    start: Tensor  # (B, k), masks that the paths start from

    def of(self, images: slice | Tensor) -> "PathBatch":
        """Those of some of the inputs."""
        return PathBatch(self.encoded.of(images), self.contrast[images], self.hidden.of(images), self.start[images])

    def midpoint(self, logits: Tensor, config: PathConfig) -> Tensor:
        """Masks ``(B, k)`` of the midpoint's rate, none below the start's: `logits` ``(B, k)`` say what comes back.

        The gradient is that at a fixed rate: what one entry wins, the others lose.
        """
        live, aim = self.encoded.live, config.midpoint_rate
        below = rate(self.start, live)
        returning = masks_of_rate(logits, (aim - below) / (1 - below).clamp(min=1e-6), live=live)
        midpoint = self.start + (1 - self.start) * returning  # of about that rate, as the start is not even
        mean = rate(midpoint, live)
        back = ((mean - aim) / (mean - below).clamp(min=1e-6)).clamp(0, 1)[:, None]
        forth = ((aim - mean) / (1 - mean).clamp(min=1e-6)).clamp(0, 1)[:, None]
        return torch.lerp(torch.lerp(midpoint, self.start, back), only_live(torch.ones_like(midpoint), live), forth)


class PathState(NamedTuple):
    """Where the midpoints of a batch are."""

    logits: Tensor  # (B, k)
    midpoint: Tensor  # (B, k)
    recent: Tensor  # (B, 3, k), running means over the last probes: damage, effect, marginal gain
    long: Tensor  # (B, 3, k), means over all probes
    distortion: Tensor  # (B,), running mean along the path
    step: int

    def of(self, images: Tensor) -> "PathState":
        """Those of some of the inputs."""
        logits, midpoint, recent, long, distortion, step = self
        tensors = (logits, midpoint, recent, long, distortion)
        logits, midpoint, recent, long, distortion = (tensor[images] for tensor in tensors)
        return PathState(logits, midpoint, recent, long, distortion, step)


class PathProbe(NamedTuple):
    """One noisy input at each of R rates along a path, and the gradients there."""

    damage: Tensor  # (B, k), mean over the rates, see `GradientProbe`
    effect: Tensor  # (B, k), mean over the rates
    gain: Tensor  # (B, k): by how much an entry of the midpoint lowers the mean distortion, per unit of rate
    probability: Tensor  # (B, R), of the target
    distortion: Tensor  # (B,), mean over the rates


class MidpointRefiner(Moves):
    """A learned optimiser of midpoints: (state, probe of the path) -> state. All steps share the weights.

    Arguments:
        levels, dims, width, condition: see `Moves`.
    """

    def __init__(self, levels: int, dims: int, width: int = 32, condition: int = 64) -> None:
        super().__init__(SIGNALS_PER_ENTRY, NUMBERS_PER_INPUT, levels, dims, width, condition)

    def forward(self, paths: PathBatch, state: PathState, probe: PathProbe, config: PathConfig) -> PathState:
        """The state after one step."""
        encoded = paths.encoded
        latest = torch.stack([*signals(probe.damage, probe.effect, encoded.live), probe.gain], 1)
        recent = torch.lerp(latest, state.recent, MEMORY if state.step else 0.0)
        long = torch.lerp(state.long, latest, 1 / (state.step + 1))
        gains = torch.stack([latest[:, 2], recent[:, 2], long[:, 2]], 1)
        size = rate(long[:, 2].square(), encoded.live).add(1e-12).sqrt()
        relative = (long[:, 2] / size[:, None]).asinh()
        known = (
            state.logits / 4, state.midpoint, paths.start, paths.contrast, *latest[:, :2].unbind(1),
            *recent[:, :2].unbind(1), *long[:, :2].unbind(1), *(gains / GAIN_SCALE).asinh().unbind(1), relative,
        )  # fmt: skip
        distortion = torch.lerp(probe.distortion, state.distortion, MEMORY if state.step else 0.0)
        p = of_class(encoded.probabilities, encoded.target)
        numbers = torch.cat([
            torch.stack([
                p, rate(paths.start, encoded.live).clamp(min=1e-6).log() / 2, size.log() / 4, distortion.sqrt(),
                torch.full_like(p, 1 / (1 + state.step)),
            ], 1),
            probe.probability, 4 * (probe.probability - p[:, None]),
        ], 1)  # fmt: skip
        move = self.move(known, numbers, paths.hidden, encoded.layout)
        logits = (state.logits + move).clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
        return PathState(logits, paths.midpoint(logits, config), recent, long, distortion, state.step + 1)


def initial_path_state(paths: PathBatch, config: PathConfig) -> PathState:
    """All that the start drops comes back evenly."""
    logits = torch.zeros_like(paths.start)
    unseen = logits.new_zeros(len(logits), 3, logits.shape[1])
    return PathState(logits, paths.midpoint(logits, config), unseen, unseen, logits.new_zeros(len(logits)), 0)


def probe_path(
    rd: RateDistortion, paths: PathBatch, midpoint: Tensor, streams: NoiseStreams, config: PathConfig
) -> PathProbe:
    """One draw at each of the rates along the paths from the start through `midpoint` ``(B, k)``."""
    probes = []
    for images in rd.chunks(len(midpoint), len(config.rates)):
        probes.append(_probe(rd, paths.of(images), midpoint[images], streams, images, config))
    return PathProbe(*(torch.cat(part) for part in zip(*probes, strict=True)))


def _probe(
    rd: RateDistortion, paths: PathBatch, midpoint: Tensor, streams: NoiseStreams, images: slice, config: PathConfig
) -> PathProbe:
    encoded, below, middle = paths.encoded, rate(paths.start, paths.encoded.live)[:, None], config.midpoint_rate
    parts = []
    for chunk, repeated, noise in draws_along(rd, encoded, streams, images, config):
        rates = midpoint.new_tensor(config.rates[chunk])
        mask = masks_along(paths.start, midpoint, config.rates[chunk], repeated.live)
        probe = probe_draws(rd, repeated, mask, noise, mask_gradient=True)
        assert probe.mask_gradient is not None
        damage, effect, gradient, probability = (
            values.unflatten(0, (len(midpoint), -1))
            for values in (probe.damage, probe.effect, probe.mask_gradient, probe.log_probability.exp())
        )
        # how far masks of these rates move with the midpoint
        rising, falling = (rates - below) / (middle - below).clamp(min=1e-6), (1 - rates) / (1 - middle)
        share = torch.where(rates < middle, rising, falling).clamp(0, 1)
        miss = probability - of_class(encoded.probabilities, encoded.target)[:, None]
        gain = -(2 * miss * probability * share)[:, :, None] * gradient * encoded.entries
        parts.append((damage.sum(1), effect.sum(1), gain.sum(1), probability, miss.square()))
    damages, effects, gains, probabilities, distortions = zip(*parts, strict=True)
    damage, effect, gain = (torch.stack(sums).sum(0) / len(config.rates) for sums in (damages, effects, gains))
    return PathProbe(damage, effect, gain, torch.cat(probabilities, 1), torch.cat(distortions, 1).mean(1))


@torch.no_grad()
def learned_midpoints(
    refiner: MidpointRefiner, rd: RateDistortion, paths: PathBatch, config: PathConfig, seed: int = 0
) -> Learned:
    """Midpoints after the learned steps of the paths. Where the distortion is small, steps end early."""
    images = torch.arange(len(paths.start), device=paths.start.device)
    state = initial_path_state(paths, config)
    midpoint, distortion = state.midpoint.clone(), state.distortion.clone()
    for step in range(config.learned_steps):
        streams = NoiseStreams.of(paths.encoded.image, seed, f"way {step}")
        with rd.classifier.passes_for(images, of=len(midpoint)):
            probe = probe_path(rd, paths, state.midpoint, streams, config)
        state = refiner(paths, state, probe, config)
        midpoint[images], distortion[images] = state.midpoint, state.distortion
        rising = (state.distortion > config.settled).nonzero()[:, 0]
        if not len(rising):
            break
        if len(rising) < len(images):
            images, paths, state = images[rising], paths.of(rising), state.of(rising)
    return Learned(midpoint, distortion)
