"""Wavelet attribution (WAM; Kasmi et al., ICML 2025): gradients with respect to coefficients."""

from typing import Literal, get_args

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.layout import Coefficients
from amortex.core.nd import expand_dims
from amortex.core.noise_streams import NoiseStreams, normal
from amortex.explainers.base import Explainer, Explanation, OnStep, check_share, ranking
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.scores import class_gradient

Variant = Literal["saliency", "smoothgrad", "integrated"]


class WAM(Explainer):
    """Gradients of the target-class logit with respect to coefficients of any linear invertible transform.

    The transform is linear, so a mean of gradients over noisy or scaled inputs is taken over pixel gradients and
    pulled back to coefficients once. An entry's relevance is the sum over channels of the absolute attribution (the
    paper ranks channels apart, and sees artefacts); nothing is shared across the batch. The mask keeps the share
    `rate` of most relevant entries.

    Arguments:
        rate_distortion: its classifier and transform are used.
        variant: ``saliency``; ``smoothgrad``, the signed gradient averaged over `samples` inputs with noise of standard
            deviation ``0.25 * (max x - min x)``, not clipped; or ``integrated``, ``(z - 0)`` times the
            trapezoidal integral of the gradient from 0 to ``z``, which sums to ``f(x) - f(0)``.
        rate: share of entries that the mask keeps.
        samples: noisy inputs of ``smoothgrad``, or intervals of ``integrated``; by default 25 and 50.
        seed: of the run.

    Raises:
        InputError: an unknown variant, a transform that is not linear, or a rate or number of samples out of range.
    """

    spread = 0.25

    def __init__(
        self,
        rate_distortion: RateDistortion,
        variant: Variant = "saliency",
        rate: float = 0.05,
        samples: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(rate_distortion, seed)
        if variant not in get_args(Variant):
            raise InputError(f"unknown WAM variant {variant!r}: use one of {', '.join(get_args(Variant))}")
        if not rate_distortion.transform.linear:
            raise InputError(f"WAM needs a linear transform, and {rate_distortion.transform.name} is none: use fourier")
        self.variant, self.rate = variant, check_share(rate)
        default = {"saliency": 1, "smoothgrad": 25, "integrated": 50}[variant]
        self.samples = default if samples is None or variant == "saliency" else samples
        if self.samples < 1:
            raise InputError(f"samples must be at least 1, not {samples}")

    def attribution(self, encoded: EncodedBatch, streams: NoiseStreams) -> Coefficients:
        """Signed attribution per coefficient and channel."""
        image, coefficients = encoded.image, encoded.coefficients
        if self.variant == "saliency":
            gradient = class_gradient(self.rate_distortion, image, encoded.target)
            return self.rate_distortion.transform.pullback(gradient, coefficients)
        weights = image.new_full((self.samples,), 1 / self.samples)
        if self.variant == "integrated":
            weights = torch.cat([weights, weights[:1]])  # trapezoid: half weight at both ends
            weights[[0, -1]] /= 2
        gradient = torch.zeros_like(image)
        rd = self.rate_distortion
        per_chunk = 1 if rd.batch_invariant else rd.draws_at_once(len(image))
        for first in range(0, len(weights), per_chunk):
            count = min(per_chunk, len(weights) - first)
            inputs = self._inputs(image, streams, first, count)
            targets = encoded.target[:, None].expand(-1, count).flatten()
            part = class_gradient(self.rate_distortion, inputs.flatten(0, 1), targets)
            gradient += torch.einsum("s,bs...->b...", weights[first : first + count], part.unflatten(0, (-1, count)))
        pulled = self.rate_distortion.transform.pullback(gradient, coefficients)
        if self.variant == "smoothgrad":
            return pulled
        # real part of conj(z) * gradient: the plain product for real coefficients
        return pulled.map(lambda g, z: (g * z.conj()).real if z.is_complex() else g * z, coefficients.bands)

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        attribution = self.attribution(encoded, streams).flat
        relevance = attribution.abs().sum(1)
        signed = None if attribution.is_complex() else attribution.sum(1)
        return ranking(encoded, relevance, self.rate, signed, on_step)

    def _inputs(self, image: Tensor, streams: NoiseStreams, first: int, count: int) -> Tensor:
        """The inputs `first` .. of the average, ``(B, count, C, *size)``."""
        if self.variant == "integrated":
            alpha = torch.arange(first, first + count, device=image.device).to(image.dtype) / self.samples
            return image[:, None] * expand_dims(alpha, image.ndim - 1)
        low, high = image.flatten(1).aminmax(dim=1)
        sigma = expand_dims(self.spread * (high - low), image.ndim)
        noise = streams.fill(
            normal,
            slice(None),
            count,
            tuple(image.shape[1:]),
            image.dtype,
        )
        return image[:, None] + sigma * noise

    def settings(self) -> dict[str, str | int | float]:
        return {**super().settings(), "variant": self.variant, "rate": self.rate, "samples": self.samples}
