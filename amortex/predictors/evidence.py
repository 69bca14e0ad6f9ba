"""What the predictor sees of an image: coefficients, features, class, and optionally one look at the gradient."""

from typing import NamedTuple

import torch
from torch import Tensor

from amortex.draws import Draws
from amortex.predictors.backbone import Backbone, Features
from amortex.rate_distortion import RateDistortion, Reference, softmax

LEVEL = 0.5  # of the mask at the noisy input where the gradient is taken


class Evidence(NamedTuple):
    """One row per image."""

    reference: Reference
    features: Features
    damage: Tensor | None  # (B, k): first-order damage to log p from obfuscating each entry
    effect: Tensor | None  # (B, k), signed: gradient of log p times (h - mean)


def observe(
    rd: RateDistortion,
    backbone: Backbone,
    image: Tensor,
    target: Tensor | None = None,
    draws: Draws | None = None,
) -> Evidence:
    """Look at images ``(B, C, H, W)`` in [0, 1]: one forward pass, and with `draws` one forward and backward more.

    `target` ``(B,)`` defaults to the predicted classes.
    """
    features = backbone(image)
    reference = rd.reference(image, target, softmax(features.logits))
    if draws is None:
        return Evidence(reference, features, None, None)
    return Evidence(reference, features, *look(rd, reference, draws))


def look(rd: RateDistortion, reference: Reference, draws: Draws) -> tuple[Tensor, Tensor]:
    """`Evidence.damage` and `Evidence.effect` at one noisy input, all masks at `LEVEL`.

    The damage is ``((h - mean)^2 + sigma^2) * gradient^2``, summed over channels: a small coefficient of a loud
    group is worth keeping, because that silences noise.
    """
    chunks = [slice(start, start + rd.images_at_once) for start in range(0, len(reference.image), rd.images_at_once)]
    looks = [_look(rd, reference.of(some), draws, some) for some in chunks]
    damage, effect = (torch.cat(parts) for parts in zip(*looks, strict=True))
    return damage, effect


def _look(rd: RateDistortion, reference: Reference, draws: Draws, images: slice) -> tuple[Tensor, Tensor]:
    layout = reference.layout
    with torch.no_grad():
        mask = reference.image.new_full((len(reference.image), layout.k), LEVEL)
        mixed = rd.mix(reference, mask, rd.noise(reference, draws, images, 1))
    leaves = mixed.map(lambda band: band.detach().requires_grad_())
    with torch.enable_grad():
        log_probability = rd.classifier(rd.picture(leaves)).log_softmax(-1)
        score = log_probability.gather(1, reference.target[:, None]).sum()
        gradient = torch.autograd.grad(score, leaves.bands)
    damage, effect = [], []
    for index, (g, h) in enumerate(zip(gradient, reference.coefficients.bands, strict=True)):
        away = h - reference.location[index]
        change = away.square() if reference.scale is None else away.square() + reference.scale[index].square()
        damage.append((g.square() * change).sum(1))
        effect.append((g * away).sum(1))
    return layout.join(damage), layout.join(effect)


def loudness(reference: Reference) -> tuple[Tensor, Tensor]:
    """Logarithms of the mean over channels of ``(h - mean)^2`` and of ``sigma^2``, ``(B, k)`` each."""
    layout = reference.layout
    away = reference.coefficients.flat - layout.join(reference.location)
    energy = away.square().mean(1)
    spread = torch.zeros_like(energy) if reference.scale is None else layout.join(reference.scale).square().mean(1)
    return (energy + 1e-8).log(), (spread + 1e-8).log()
