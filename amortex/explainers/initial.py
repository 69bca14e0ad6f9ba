"""Where the optimisation of a mask starts."""

from typing import get_args

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.masks import ranks
from amortex.core.noise_streams import NoiseStreams, uniform
from amortex.explainers.presets import Initial
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.scores import class_gradient


def initial_mask(init: Initial | Tensor, rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams) -> Tensor:
    """Masks ``(B, k)`` to start from: one of the named starts, or given masks.

    ``ones`` is CartoonX's own; ``zeros`` and ``random``, uniform in [0, 1), are other starts that are compared with it
    (configs/compare/initial.yaml); ``startgrad`` is the rank transform of the gradient's magnitude in the coefficient
    domain (StartGrad, ICLR 2025); ``sensitivity`` the rank transform of `sensitivity`.

    Raises:
        InputError: an unknown name, or given masks of another shape or outside [0, 1].
    """
    return encoded.only_live(_initial_mask(init, rd, encoded, streams))


def _initial_mask(init: Initial | Tensor, rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams) -> Tensor:
    shape = (len(encoded.image), encoded.layout.k)
    if isinstance(init, Tensor):
        if init.shape != shape:
            raise InputError(f"the given initial mask has shape {tuple(init.shape)}, not {shape}")
        if not bool(((init >= 0) & (init <= 1)).all()):
            raise InputError("the given initial mask leaves [0, 1]")
        return init.detach().to(encoded.image)
    if init == "ones":
        return encoded.image.new_ones(shape)
    if init == "zeros":
        return encoded.image.new_zeros(shape)
    if init == "random":
        return streams.fill(uniform, slice(None), 1, shape[1:], encoded.image.dtype)[:, 0].clone()
    if init == "startgrad":
        gradient = class_gradient(rd, encoded.image, encoded.target)
        return ranks(rd.transform.pullback(gradient, encoded.coefficients).flat.abs().sum(1), encoded.live)
    if init == "sensitivity":
        return ranks(sensitivity(rd, encoded, streams), encoded.live)
    raise InputError(f"unknown start {init!r}: use one of {', '.join(get_args(Initial))}, or a mask")


@torch.no_grad()
def sensitivity(
    rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams, samples: int = 4, level: float = 0.5
) -> Tensor:
    """First-order damage to the output from obfuscating each entry, ``(B, k)``.

    The mean squared change ``(h - mean)^2 + sigma^2`` of a coefficient under obfuscation, times the squared gradient
    of the class's log-probability with respect to it, summed over channels and averaged over `samples` inputs that
    are noisy themselves (all masks at `level`). Unlike magnitude it sees that a small coefficient of a loud group is
    worth keeping: it silences noise.
    """
    samples = encoded.samples(samples)
    parts = []
    for chunk in rd.chunks(len(encoded.image)):
        parts.append(torch.stack([_damage(rd, encoded, streams, chunk, level) for _ in range(samples)]).mean(0))
    return torch.cat(parts)


def _damage(rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams, images: slice, level: float) -> Tensor:
    """`sensitivity` of some of the images, at one noisy input."""
    part, layout = encoded.of(images), encoded.layout
    change = (part.coefficients.flat - layout.join(part.location)).abs().square()
    if part.scale is not None:
        change = change + rd.obfuscation.variance * layout.join(part.scale).square()
    mask = part.image.new_full((len(part.image), layout.k), level)
    noisy = rd.obfuscate(part, mask, rd.noise(part, streams, images, 1))[:, 0]
    gradient = class_gradient(rd, noisy, part.target, of_log_probability=True)
    pulled = rd.transform.pullback(gradient, part.coefficients).flat
    return (pulled.abs().square() * change).sum(1)
