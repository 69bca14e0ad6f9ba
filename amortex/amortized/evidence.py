"""What the predictor knows of an input: coefficients, features, class, and perhaps a gradient at a noisy input."""

from typing import NamedTuple

import torch
from torch import Tensor

from amortex.amortized.backbone import Backbone, Features, class_maps, fit
from amortex.amortized.budget import masks_of_rate
from amortex.core.masks import entries, only_live, rate
from amortex.core.nd import spatial_axes
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion

# Rate of the mask at which the gradient is probed. Gradients at masks that follow the prior rank coefficients better
# than gradients at uniform masks, and better still at low rates, until the class is lost.
PROBE_RATE = 0.4
LOWEST_LOG_PROBABILITY = -20.0  # of a class of which nothing is left


class GradientProbe(NamedTuple):
    """One noisy input under a mask, and the gradient of the class's log-probability there."""

    damage: Tensor  # (B, k): first-order damage to log p from obfuscating each entry
    effect: Tensor  # (B, k), signed: gradient of log p times (h - mean)
    log_probability: Tensor  # (B,): log p at that input
    mask_gradient: Tensor | None = None  # (B, k): gradient of log p with respect to the mask, if asked for


class Evidence(NamedTuple):
    """What is known of a batch of inputs before any mask is predicted."""

    encoded: EncodedBatch
    features: Features
    energy: Tensor  # (B, k), log of the mean over channels of (h - mean)^2
    spread: Tensor  # (B, k), log of the mean over channels of sigma^2
    activation: Tensor | None  # (B, 2, k): `class_maps` at each entry, where the classifier has them
    prior: Tensor  # (B, k): which entries keep the class, from energy and class maps; mean 0 and deviation 1
    probe: GradientProbe | None

    @property
    def contrast(self) -> Tensor:
        """How far an entry stands out of its group, ``(B, k)``."""
        return (self.energy - self.spread).clamp(min=-7) / 3


def observe(
    rd: RateDistortion,
    backbone: Backbone,
    image: Tensor,
    target: Tensor | None = None,
    streams: NoiseStreams | None = None,
) -> Evidence:
    """Gather the evidence of inputs ``(B, C, *size)`` by a forward pass, and a gradient probe if there are `streams`.

    `target` ``(B,)`` defaults to the predicted classes.
    """
    features = backbone(image)
    encoded = rd.encode(image, target, rd.classifier.probabilities(features.logits))
    energy, spread = log_moments(encoded)
    activation = None
    if features.head is not None:
        activation = _at_entries(class_maps(features, encoded.target, encoded.probabilities), encoded)
    prior = standardise(energy, encoded.live)
    if activation is not None:
        prior = standardise(2 * prior + 3 * activation[:, 0], encoded.live)
    gradient = None
    if streams is not None:
        rates = energy.new_full((len(energy),), PROBE_RATE)
        mask = masks_of_rate(2 * prior, rates, fine_steps=0, live=encoded.live)  # about that rate is enough
        gradient = probe(rd, encoded, mask, streams)
    return Evidence(encoded, features, energy, spread, activation, prior, gradient)


def probe(
    rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, streams: NoiseStreams, mask_gradient: bool = False
) -> GradientProbe:
    """One noisy input under each mask ``(B, k)``, and the gradient there; with respect to the mask, too, if asked for.

    The damage is ``((h - mean)^2 + sigma^2) * gradient^2``, summed over channels. A small coefficient of a loud group
    is worth keeping, because that silences noise.
    """
    chunks = rd.chunks(len(encoded.image))
    probes = []
    for images in chunks:
        part = encoded.of(images)
        probes.append(probe_draws(rd, part, mask[images], rd.noise(part, streams, images, 1), mask_gradient))
    parts = zip(*(part if mask_gradient else part[:-1] for part in probes), strict=True)
    return GradientProbe(*(torch.cat(part) for part in parts))


def probe_draws(
    rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, noise: tuple[Tensor, ...] | None, mask_gradient: bool
) -> GradientProbe:
    """`probe` with this unit noise per band, ``(B, 1, C, *positions)``, in one batch."""
    layout = encoded.layout
    with torch.enable_grad():
        leaf = mask.detach().requires_grad_()
        with torch.set_grad_enabled(mask_gradient):
            mixed = rd.mix(encoded, leaf, noise)
        if not mask_gradient:
            mixed = mixed.map(lambda band: band.detach().requires_grad_())
        log_probability = rd.classifier.log_probabilities(rd.classifier(rd.picture(mixed)))
        log_probability = log_probability.gather(1, encoded.target[:, None])[:, 0]
        inputs = [*mixed.bands, leaf] if mask_gradient else list(mixed.bands)
        gradients = torch.autograd.grad(log_probability.sum(), inputs)
    # flat, since passes over channels-last and plain tensors together are slow
    gradient, deviation = layout.join(gradients[: len(mixed.bands)]), _deviation(encoded)
    product = gradient * deviation
    change = product.square()
    if encoded.scale is not None:
        loudness = gradient * layout.join(encoded.scale)
        change = torch.addcmul(change, loudness, loudness)
    # outputs that are not finite show nothing, and must not reach the weights of the decoder
    damage, effect = (values.sum(1).nan_to_num_(0, 0, 0) for values in (change, product))
    log_probability = log_probability.detach().nan_to_num(LOWEST_LOG_PROBABILITY, neginf=LOWEST_LOG_PROBABILITY)
    return GradientProbe(damage, effect, log_probability, gradients[-1].nan_to_num(0, 0, 0) if mask_gradient else None)


def signals(damage: Tensor, effect: Tensor, live: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What networks see of the damage and effect of a `GradientProbe`, ``(B, k)`` each.

    The damage is on a log scale, and standardised; the effect is in units of its root mean square, and compressed.
    """
    damage = standardise((damage + 1e-4 * rate(damage, live)[:, None] + 1e-20).log(), live)
    signed = effect / rate(effect.square(), live)[:, None].add(1e-20).sqrt()
    return damage, signed.sign() * (1 + signed.abs()).log()  # log1p is nine times slower on a CPU


def log_moments(encoded: EncodedBatch) -> tuple[Tensor, Tensor]:
    """Logarithms of the mean over channels of ``(h - mean)^2`` and of ``sigma^2``, ``(B, k)`` each."""
    energy = _deviation(encoded).square().mean(1)
    spread = torch.zeros_like(energy)
    if encoded.scale is not None:
        spread = encoded.layout.join(encoded.scale).square().mean(1)
    return (energy + 1e-8).log(), (spread + 1e-8).log()


def _deviation(encoded: EncodedBatch) -> Tensor:
    """``h - mean``, ``(B, C, k)``."""
    return encoded.coefficients.flat - encoded.layout.join(encoded.location)


def standardise(values: Tensor, live: Tensor | None = None) -> Tensor:
    """Mean 0 and deviation 1 per input, over live entries; the others become 0."""
    centred = only_live(values - rate(values, live)[:, None], live)
    # by the norm: torch's deviation takes several times as long on a CPU
    deviation = torch.linalg.vector_norm(centred, dim=1, keepdim=True) / entries(values.shape[1], live) ** 0.5
    standardised: Tensor = centred / deviation.clamp(min=1e-6)
    return standardised


def _at_entries(maps: Tensor, encoded: EncodedBatch) -> Tensor:
    """Maps ``(B, n, *positions)`` of the input, scaled to a largest value of one, at each entry ``(B, n, k)``."""
    layout = encoded.layout
    dims, levels = len(layout.size), len(layout.bands) - 1
    maps = maps / maps.abs().amax(spatial_axes(dims), keepdim=True).clamp(min=1e-6)
    parts = []
    for band, level in zip(layout.bands, (levels, *range(1, levels + 1)), strict=True):  # the low-pass comes first
        part = fit(maps, band.shape[-dims:], layout.size, level)
        has_orientations = len(band.shape) > dims
        parts.append(part[:, :, None].expand(-1, -1, *band.shape) if has_orientations else part)
    return layout.join(parts)
