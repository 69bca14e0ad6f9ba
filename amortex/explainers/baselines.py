"""Classical pixel attributions and trivial orderings, as explainers: what the others are compared with."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from amortex.core.errors import InputError
from amortex.core.masks import energy
from amortex.core.nd import INTERPOLATIONS, expand_dims
from amortex.core.noise_streams import NoiseStreams, normal, uniform
from amortex.explainers.base import Explainer, Explanation, OnStep, check_share, ranking
from amortex.explainers.initial import sensitivity
from amortex.explainers.modified_backprop import guided, last_maps, relevance_propagation
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.scores import class_gradient

# signals (B, C, *size) and their streams -> signed attribution (B, C, *size), or (B, 1, *size) for maps
Attribution = Callable[[RateDistortion, EncodedBatch, NoiseStreams], Tensor]
IG_STEPS = 100  # of the CartoonX paper, as the SmoothGrad settings
SMOOTHGRAD_SAMPLES, SMOOTHGRAD_SPREAD = 10, 0.1
LIME_SAMPLES, LIME_SEGMENTS = 500, 50


class Baseline(Explainer):
    """A pixel attribution by name; the mask keeps the share `rate` of the most relevant pixels.

    Attributions are of the target class's logit. A pixel's relevance is the sum over channels of the absolute
    attribution. Nothing is shared across a batch.

    ========================  =======================================================================================
    ``saliency``              gradient (Simonyan et al. 2014)
    ``smoothgrad``            mean gradient over 10 inputs with noise of standard deviation 0.1 (Smilkov et al. 2017)
    ``integrated_gradients``  100 steps from black, Captum's (Sundararajan et al. 2017)
    ``guided_backprop``       Springenberg et al. 2015, on ReLU and ReLU6 (Captum's knows ReLU alone)
    ``lrp``                   zennit's EpsilonPlusFlat, residual sums by their shares (Bach et al. 2015)
    ``gradcam``               last feature maps (Selvaraju et al. 2017), interpolated linearly
    ``gradcam_pp``            Grad-CAM++ (Chattopadhay et al. 2018)
    ``guided_gradcam``        guided backprop times Grad-CAM
    ``lime``                  Captum's, 50 SLIC superpixels, 500 samples (Ribeiro et al. 2016)
    ========================  =======================================================================================

    Arguments:
        rate_distortion: over pixels; its classifier is used.
        name: of the attribution.
        rate: share of pixels that the mask keeps.
        seed: of the run.

    Raises:
        InputError: an unknown name; LIME of other signals than images; when explaining, a classifier that the method is
            not defined for, or a missing library.
    """

    def __init__(self, rate_distortion: RateDistortion, name: str, rate: float = 0.05, seed: int = 0) -> None:
        super().__init__(rate_distortion, seed)
        if name not in ATTRIBUTIONS:
            raise InputError(f"unknown attribution {name!r}: use one of {', '.join(ATTRIBUTIONS)}")
        if name == "lime" and len(rate_distortion.classifier.input_size) != 3:
            raise InputError("LIME explains images alone: its superpixels are two-dimensional")
        self.name, self.rate = name, check_share(rate)

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        rd, parts = self.rate_distortion, []
        for chunk in rd.chunks(len(encoded.image)):
            chunk_streams = NoiseStreams(streams.seeds[chunk], streams.device)
            parts.append(ATTRIBUTIONS[self.name](rd, encoded.of(chunk), chunk_streams).detach())
        attribution = torch.cat(parts).contiguous()
        relevance = attribution.abs().sum(1).flatten(1)
        return ranking(encoded, relevance, self.rate, attribution.sum(1).flatten(1), on_step)

    def settings(self) -> dict[str, str | int | float]:
        return {**super().settings(), "name": self.name, "rate": self.rate}


class Ordering(Explainer):
    """An order of the entries that hardly depends on the classifier; the mask keeps the share `rate`.

    ``random``, ``magnitude`` (energy), or ``sensitivity`` (the first-order damage of obfuscation).

    Arguments:
        rate_distortion: its transform says what is ordered.
        name: of the order.
        rate: share of entries that the mask keeps.
        seed: of the run.
    """

    def __init__(self, rate_distortion: RateDistortion, name: str, rate: float = 0.05, seed: int = 0) -> None:
        super().__init__(rate_distortion, seed)
        if name not in ("random", "magnitude", "sensitivity"):
            raise InputError(f"unknown ordering {name!r}: use random, magnitude or sensitivity")
        self.name, self.rate = name, check_share(rate)

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        if self.name == "random":
            relevance = streams.fill(uniform, slice(None), 1, (encoded.layout.k,), encoded.image.dtype)[:, 0].clone()
        elif self.name == "magnitude":
            relevance = energy(encoded.coefficients)
        else:
            relevance = sensitivity(self.rate_distortion, encoded, streams)
        return ranking(encoded, relevance, self.rate, on_step=on_step)

    def settings(self) -> dict[str, str | int | float]:
        return {**super().settings(), "name": self.name, "rate": self.rate}


def saliency(rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams) -> Tensor:
    return class_gradient(rd, encoded.image, encoded.target)


def smoothgrad(rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams) -> Tensor:
    image = encoded.image
    noise = streams.fill(normal, slice(None), SMOOTHGRAD_SAMPLES, tuple(image.shape[1:]), image.dtype)
    inputs = (image[:, None] + SMOOTHGRAD_SPREAD * noise).flatten(0, 1)
    targets = encoded.target.repeat_interleave(SMOOTHGRAD_SAMPLES)
    gradient: Tensor = class_gradient(rd, inputs, targets).unflatten(0, (len(image), -1)).mean(1)
    return gradient


def integrated_gradients(rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams) -> Tensor:
    method = captum("IntegratedGradients")(rd.classifier)
    attribution: Tensor = method.attribute(
        encoded.image, 0.0, encoded.target, n_steps=IG_STEPS, internal_batch_size=rd.internal_batch_size
    ).float()
    return attribution


def guided_backprop(rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams) -> Tensor:
    with guided(rd.classifier):
        return class_gradient(rd, encoded.image, encoded.target)


def lrp(rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams) -> Tensor:
    return relevance_propagation(rd.classifier, encoded.image, encoded.target)


def gradcam(rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams) -> Tensor:
    maps, gradient = last_maps(rd.classifier, encoded.image, encoded.target)
    return _activation_map(rd, maps, gradient.flatten(2).mean(2), encoded)


def gradcam_pp(rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams) -> Tensor:
    maps, gradient = last_maps(rd.classifier, encoded.image, encoded.target)
    # of exp(logit), whose higher derivatives are powers of the gradient (eq. 19)
    square, cube = gradient.square(), gradient.pow(3)
    denominator = 2 * square + expand_dims(maps.flatten(2).sum(2), maps.ndim - 2) * cube
    alpha = square / torch.where(denominator == 0, 1.0, denominator)
    return _activation_map(rd, maps, (alpha * gradient.clamp(min=0)).flatten(2).sum(2), encoded)


def guided_gradcam(rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams) -> Tensor:
    return guided_backprop(rd, encoded, streams) * gradcam(rd, encoded, streams)


def lime(rd: RateDistortion, encoded: EncodedBatch, streams: NoiseStreams) -> Tensor:
    from skimage.segmentation import slic

    method, maps = captum("Lime")(rd.classifier), []
    for index, seed in enumerate(streams.seeds):
        image, target = encoded.image[index : index + 1], encoded.target[index : index + 1]
        pixels = image[0].permute(1, 2, 0).cpu().double().numpy()
        segments = torch.from_numpy(slic(pixels, LIME_SEGMENTS, start_label=0)).to(image.device)
        with torch.random.fork_rng():  # Captum draws from torch's global generator
            torch.manual_seed(seed)
            attribution = method.attribute(
                image,
                0.0,
                target,
                feature_mask=segments[None, None],
                n_samples=LIME_SAMPLES,
                perturbations_per_eval=rd.internal_batch_size,
            )
        maps.append(attribution[:, :1])
    return torch.cat(maps).float()


def _activation_map(rd: RateDistortion, maps: Tensor, weights: Tensor, encoded: EncodedBatch) -> Tensor:
    """The weighted sum of maps, where it is positive, on the input: ``(B, 1, *size)``."""
    combined = torch.einsum("bd...,bd->b...", maps, weights).clamp(min=0)
    network: Any = rd.classifier.model
    if hasattr(network, "place_maps"):
        placed: Tensor = network.place_maps(combined, encoded.layout.size)
        return placed[:, None]
    return F.interpolate(combined[:, None], encoded.image.shape[2:], mode=INTERPOLATIONS[maps.ndim - 2])


def captum(name: str) -> Callable[..., Any]:
    """A class of Captum's."""
    try:
        import captum.attr
    except ImportError as error:
        raise InputError(f"{name} needs Captum: pip install 'amortex[baselines]'") from error
    kind: Callable[..., Any] = getattr(captum.attr, name)
    return kind


ATTRIBUTIONS: dict[str, Attribution] = {
    f.__name__: f
    for f in (
        saliency,
        smoothgrad,
        integrated_gradients,
        guided_backprop,
        lrp,
        gradcam,
        gradcam_pp,
        guided_gradcam,
        lime,
    )
}
