"""Signals with something else in them: white noise, or another signal (WAM, section 4.2)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from amortex.classifiers.classifier import Classifier
from amortex.core.errors import InputError
from amortex.core.nd import expand_dims
from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams, normal
from amortex.data.validation import to_floats
from amortex.rate_distortion.silence import sounding

MIXTURES = ("noise", "overlap")


class Mixture(NamedTuple):
    """Signals of which a part is the target; the rest is corruption."""

    signal: Tensor  # (B, C, *size), in the range of values
    target: Tensor  # (B, C, *size)


def with_white_noise(signal: Tensor, value_range: tuple[float, float], seed: int = EVALUATION_SEED) -> Mixture:
    """Signals ``(B, C, *size)`` in white noise at 0 dB: its root mean square is theirs. The sum is clipped.

    Noise is only where a sound is, and not in the digital silence at its ends. What clipping takes is corruption.
    """
    noise = NoiseStreams.of(signal, seed, "white noise").fill(
        normal, slice(None), 1, tuple(signal.shape[1:]), signal.dtype
    )[:, 0]
    if signal.ndim == 3:
        noise = noise * sounding(signal)[:, None]
    return Mixture((signal + noise * _ratio(signal, noise)).clamp(*value_range), signal)


def overlapped(signal: Tensor, other: Tensor, value_range: tuple[float, float]) -> Mixture:
    """Sums of signals ``(B, C, *size)`` and of as many others, scaled to the same energy.

    A sum that leaves the range is turned down to fit into it, so that nothing is clipped.
    """
    mixed = signal + other * _ratio(signal, other)
    largest = max(abs(end) for end in value_range)
    gain = expand_dims((largest / mixed.abs().flatten(1).amax(1).clamp(min=largest)), signal.ndim - 1)
    return Mixture((mixed * gain).clamp(*value_range), signal * gain)


def _ratio(signal: Tensor, other: Tensor) -> Tensor:
    """What the others have to be multiplied by to have the energies of the signals, ``(B, 1, ...)``."""
    own, others = (values.double().square().flatten(1).sum(1) for values in (signal, other))
    ratio = torch.where(others > 0, own / others, 0.0).sqrt()
    return expand_dims(ratio, signal.ndim - 1).to(signal.dtype)


class Partners:
    """Finds, for each validation signal, another one that the classifier takes for another class.

    They are tried in an order that is drawn for each signal, so that partners depend neither on batches nor on devices.

    Arguments:
        samples: all validation signals, as the loader's data set holds them.
        classifier: tells their classes.
        seed: of the order.
    """

    def __init__(
        self, samples: Sequence[Mapping[str, Any]], classifier: Classifier, seed: int = EVALUATION_SEED
    ) -> None:
        self.samples, self.classifier, self.seed = samples, classifier, seed
        self._classes: dict[int, int | None] = {}  # None where a signal cannot be used

    def of(self, image: Tensor, indices: Sequence[int]) -> Tensor:
        """A partner for each signal ``(B, C, *size)``, whose places among the validation signals are `indices`.

        Raises:
            InputError: the classifier takes all validation signals for the same class.
        """
        seeds = NoiseStreams.of(image, self.seed, "partner").seeds
        return torch.stack([self._partner(index, seed, image) for index, seed in zip(indices, seeds, strict=True)])

    def _partner(self, index: int, seed: int, like: Tensor) -> Tensor:
        own = self._class(index, like)
        order = torch.randperm(len(self.samples), generator=torch.Generator().manual_seed(seed)).tolist()
        for candidate in order:
            if self._class(candidate, like) not in (own, None):
                partner = self._load(candidate, like)
                # sounds may have lengths of their own: cut, or followed by silence
                return F.pad(partner, (0, like.shape[-1] - partner.shape[-1]))
        raise InputError("overlap needs signals of at least two classes, and all validation signals are of one")

    def _class(self, index: int, like: Tensor) -> int | None:
        """The class of a signal; None if it cannot be read, or if the classifier's output is not finite."""
        if index not in self._classes:
            self._classes[index] = None
            if "image" in self.samples[index]:
                with torch.no_grad():
                    logits = self.classifier(self.classifier.front_end(self._load(index, like)[None]))
                self._classes[index] = int(logits.argmax()) if bool(logits.isfinite().all()) else None
        return self._classes[index]

    def _load(self, index: int, like: Tensor) -> Tensor:
        return to_floats(torch.as_tensor(self.samples[index]["image"])).to(like)


PartnersOf = Callable[[Tensor], Tensor]  # signals (B, C, *size) -> their partners
