"""What is known about images before any mask, and what a mask achieves: in and out of `RateDistortion`."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from scipy.special import stdtrit
from torch import Tensor

from amortex.core.layout import Coefficients, Layout
from amortex.core.masks import entries, only_live, rate
from amortex.rate_distortion.distortions import of_class


class EncodedBatch(NamedTuple):
    """What is known about a batch of images before any mask: everything that all draws share."""

    image: Tensor  # (B, C, *size): images in [0, 1], or other signals in their range
    coefficients: Coefficients  # h = T(x)
    location: tuple[Tensor, ...]  # of the replacement v, per band
    scale: tuple[Tensor, ...] | None
    probabilities: Tensor  # (B, M), Phi(x)
    target: Tensor  # (B,), the class explained
    predicted: (
        Tensor  # (B,), whether that is a class that the classifier predicts: for other ones, masks have to raise it
    )
    live: Tensor | None = None  # (B, k), entries that are no digital silence; None where all are live

    @property
    def layout(self) -> Layout:
        return self.coefficients.layout

    @property
    def highest(self) -> Tensor:
        """The classes ``(B,)`` of the highest probability."""
        return self.probabilities.argmax(-1)

    @property
    def entries(self) -> int | Tensor:
        """Number of live entries, the k of ``lambda_k``: one number, or one per input ``(B, 1)``."""
        return entries(self.layout.k, self.live)

    def rate(self, mask: Tensor) -> Tensor:
        """Rate ``(B,)`` of masks ``(B, k)``: their mean over live entries."""
        return rate(mask, self.live)

    def only_live(self, values: Tensor) -> Tensor:
        """Masks or relevance ``(B, k)`` with zeros where entries are not live."""
        return only_live(values, self.live)

    def samples(self, draws: int) -> int:
        """How many of these draws differ: one where the replacement is not random, since all are the same."""
        return 1 if self.scale is None else draws

    def of(self, images: slice | Tensor) -> "EncodedBatch":
        """The same for some of the images: a slice, or their indices."""
        return self._map(lambda values: values[images])

    def repeat(self, times: int) -> "EncodedBatch":
        """Each image so many times in a row."""
        return self if times == 1 else self._map(lambda values: values.repeat_interleave(times, 0))

    def _map(self, function: Callable[[Tensor], Tensor]) -> "EncodedBatch":
        return EncodedBatch(
            function(self.image),
            self.coefficients.map(function),
            tuple(map(function, self.location)),
            None if self.scale is None else tuple(map(function, self.scale)),
            function(self.probabilities),
            function(self.target),
            function(self.predicted),
            None if self.live is None else function(self.live),
        )


class Outcome(NamedTuple):
    """A mask, measured."""

    distortion: Tensor  # (B, L), one per noise draw
    rate: Tensor  # (B,)
    probabilities: Tensor  # (B, M), mean of Phi(y) over the draws
    kept: Tensor  # (B, L), whether the draw keeps the class: it alone decides for the target

    def interval(self) -> tuple[Tensor, Tensor]:
        """95 % confidence interval ``(B,)``, ``(B,)`` of the mean distortion: Student's t over draws, cut at zero.

        A single draw has none: its ends are NaN (those of an obfuscation that is not random are set by the caller).
        """
        draws = self.distortion.shape[1]
        mean = self.distortion.mean(1)
        if draws == 1:
            margin = torch.full_like(mean, torch.nan)
        else:
            margin = float(stdtrit(draws - 1, 0.975)) * self.distortion.std(1) / draws**0.5
        return (mean - margin).clamp(min=0), mean + margin


def class_probability(encoded: EncodedBatch) -> Tensor:
    """Probability of the explained class on the clean image, ``(B,)``."""
    return of_class(encoded.probabilities, encoded.target)
