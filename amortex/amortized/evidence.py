"""What the predictor sees of an image: coefficients, features, class, and optionally one look at the gradient."""

from typing import NamedTuple

import torch
from torch import Tensor

from amortex.amortized.backbone import Backbone, Features, class_maps, fit
from amortex.amortized.budget import masks_of_rate
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion

# Where the gradient is taken: a mask of this rate. A look at masks that follow the guess orders entries better than one
# at equal masks, the more so the nearer to the rates that are asked for; but where little of the class is left, not.
PROBE_RATE = 0.4
UNSEEN = -20.0  # log p of a class of which nothing is left


class GradientProbe(NamedTuple):
    """One noisy input under the guessed mask, and the gradient of log p there."""

    damage: Tensor  # (B, k): first-order damage to log p from obfuscating each entry
    effect: Tensor  # (B, k), signed: gradient of log p times (h - mean)
    log_probability: Tensor  # (B,): log p at that input
    slope: Tensor | None = None  # (B, k): gradient of log p with respect to the mask, where it is wanted


class Evidence(NamedTuple):
    """One row per image."""

    encoded: EncodedBatch
    features: Features
    energy: Tensor  # (B, k), log of the mean over channels of (h - mean)^2
    spread: Tensor  # (B, k), of sigma^2
    activation: Tensor | None  # (B, 2, k): `class_maps` at each entry, where the classifier has them
    guess: Tensor  # (B, k): what keeps the class at first sight, mean 0 and deviation 1
    probe: GradientProbe | None

    @property
    def contrast(self) -> Tensor:
        """How much an entry stands out of its group, ``(B, k)``."""
        return (self.energy - self.spread).clamp(min=-7) / 3


def observe(
    rd: RateDistortion,
    backbone: Backbone,
    image: Tensor,
    target: Tensor | None = None,
    streams: NoiseStreams | None = None,
) -> Evidence:
    """Look at images ``(B, C, H, W)`` in [0, 1]: one forward pass, and with `streams` one forward and backward more.

    `target` ``(B,)`` defaults to the predicted classes.
    """
    features = backbone(image)
    encoded = rd.encode(image, target, rd.classifier.probabilities(features.logits))
    energy, spread = loudness(encoded)
    activation = None
    if features.head is not None:
        activation = _at_entries(class_maps(features, encoded.target, encoded.probabilities), encoded)
    guess = standardise(energy)
    if activation is not None:
        guess = standardise(2 * guess + 3 * activation[:, 0])
    seen = None
    if streams is not None:
        rate = energy.new_full((len(energy),), PROBE_RATE)
        seen = probe(rd, encoded, masks_of_rate(2 * guess, rate, fine=0), streams)  # about that rate will do
    return Evidence(encoded, features, energy, spread, activation, guess, seen)


def probe(
    rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, streams: NoiseStreams, slope: bool = False
) -> GradientProbe:
    """Look at images under masks ``(B, k)``, one noisy input each, and at the `slope` if it is wanted.

    The damage is ``((h - mean)^2 + sigma^2) * gradient^2``, summed over channels: a small coefficient of a loud
    group is worth keeping, because that silences noise.
    """
    chunks = rd.chunks(len(encoded.image))
    learned_steps = [_probe(rd, encoded.of(some), mask[some], streams, some, slope) for some in chunks]
    parts = zip(*(one if slope else one[:-1] for one in learned_steps), strict=True)
    return GradientProbe(*(torch.cat(part) for part in parts))


def _probe(
    rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, streams: NoiseStreams, images: slice, slope: bool
) -> GradientProbe:
    layout = encoded.layout
    noise = rd.noise(encoded, streams, images, 1)
    with torch.enable_grad():
        leaf = mask.detach().requires_grad_()
        with torch.set_grad_enabled(slope):
            mixed = rd.mix(encoded, leaf, noise)
        if not slope:
            mixed = mixed.map(lambda band: band.detach().requires_grad_())
        log_probability = rd.classifier.log_probabilities(rd.classifier(rd.picture(mixed)))
        log_probability = log_probability.gather(1, encoded.target[:, None])[:, 0]
        gradient = torch.autograd.grad(log_probability.sum(), [*mixed.bands, leaf] if slope else list(mixed.bands))
    # flat, since passes over channels-last and plain tensors together are slow
    slopes, away = layout.join(gradient[: len(mixed.bands)]), _away(encoded)
    product = slopes * away
    change = product.square()
    if encoded.scale is not None:
        spread = slopes * layout.join(encoded.scale)
        change = torch.addcmul(change, spread, spread)
    # outputs that are not finite show nothing, and must not reach the weights of the decoder
    damage, effect = (values.sum(1).nan_to_num_(0, 0, 0) for values in (change, product))
    log_probability = log_probability.detach().nan_to_num(UNSEEN, neginf=UNSEEN)
    return GradientProbe(damage, effect, log_probability, gradient[-1].nan_to_num(0, 0, 0) if slope else None)


def signals(probe: GradientProbe) -> tuple[Tensor, Tensor]:
    """Damage, on a log scale and standardised, and effect, its scale taken off and compressed: ``(B, k)`` each."""
    damage, effect = probe.damage, probe.effect
    damage = standardise((damage + 1e-4 * damage.mean(1, keepdim=True) + 1e-20).log())
    signed = effect / effect.square().mean(1, keepdim=True).add(1e-20).sqrt()
    return damage, signed.sign() * (1 + signed.abs()).log()  # log1p is nine times slower on a CPU


def loudness(encoded: EncodedBatch) -> tuple[Tensor, Tensor]:
    """Logarithms of the mean over channels of ``(h - mean)^2`` and of ``sigma^2``, ``(B, k)`` each."""
    layout = encoded.layout
    energy = _away(encoded).square().mean(1)
    spread = torch.zeros_like(energy) if encoded.scale is None else layout.join(encoded.scale).square().mean(1)
    return (energy + 1e-8).log(), (spread + 1e-8).log()


def _away(encoded: EncodedBatch) -> Tensor:
    """``h - mean``, ``(B, C, k)``."""
    return encoded.coefficients.flat - encoded.layout.join(encoded.location)


def standardise(values: Tensor) -> Tensor:
    """Mean 0 and deviation 1 per image."""
    away = values - values.mean(1, keepdim=True)
    # by the norm: torch's deviation takes several times as long on a CPU
    deviation = torch.linalg.vector_norm(away, dim=1, keepdim=True) / values.shape[1] ** 0.5
    standardised: Tensor = away / deviation.clamp(min=1e-6)
    return standardised


def _at_entries(maps: Tensor, encoded: EncodedBatch) -> Tensor:
    """Maps ``(B, n, h, w)`` of the image, their largest values scaled to one, at each entry ``(B, n, k)``."""
    layout = encoded.layout
    maps = maps / maps.abs().amax((2, 3), keepdim=True).clamp(min=1e-6)
    levels = len(layout.bands) - 1
    parts = []
    for band, level in zip(layout.bands, (levels, *range(1, levels + 1)), strict=True):  # the low-pass comes first
        part = fit(maps, band.shape[-2:], layout.size, level)
        parts.append(part[:, :, None].expand(-1, -1, *band.shape) if len(band.shape) == 3 else part)
    return layout.join(parts)
