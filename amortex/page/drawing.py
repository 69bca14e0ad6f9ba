"""Masks that somebody has drawn, measured as the masks of methods are."""

from typing import Any

import torch
from torch import Tensor

from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams
from amortex.page import requests
from amortex.page.pictures import plain, webp_url
from amortex.page.requests import Request
from amortex.page.service import OnStep, Service
from amortex.rate_distortion.caveats import caveats
from amortex.rate_distortion.certificate import summarise
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.supports import support_means
from amortex.transforms.wavelet import Wavelet

METHODS = {"pixels": "pixel_rde", "wavelets": "magnitude"}  # whose coefficients drawn masks are over
STROKE_SAMPLES, CERTIFICATE_SAMPLES = 8, 64
LIKELIEST = 5
MOST_DRAWS = 10**6


def certified(request: Request) -> bool:
    """Whether a request asks for the certificate, which takes longer than a stroke."""
    return request.get("certify") is True


def draw(service: Service, request: Request, on_step: OnStep) -> dict[str, Any]:
    """Measure a mask that somebody has drawn on the pixels of an image.

    A stroke takes few draws, the first ones of the certificate, which is measured where `request` asks to certify.
    `on_step` is called between chunks of draws, and may raise.

    Raises:
        InputError: what is asked for is no mask, or of no image that there is.
    """
    domain = requests.choice(request, "domain", METHODS, "pixels")
    draw = requests.integer(request, "draw", 0, MOST_DRAWS, 0) or 0
    rd = service.explainer(METHODS[domain]).explainer.rate_distortion
    encoded = service.encode(rd, requests.text(request, "signal") or "", METHODS[domain])
    mask = requests.drawn_mask(request, encoded.layout.size)
    mask = (over_wavelets(rd, encoded, mask) if domain == "wavelets" else mask.flatten(1)).to(encoded.image.device)
    streams = NoiseStreams.evaluation(encoded.image)
    certify = certified(request)
    outcome = rd(encoded, mask, streams, CERTIFICATE_SAMPLES if certify else STROKE_SAMPLES, on_step)
    doubts: tuple[str, ...] = ("",)  # looking for them may take further passes: not while somebody draws
    if certify:
        doubts = caveats(rd, encoded, mask, outcome, EVALUATION_SEED)
    with torch.no_grad():
        noise = rd.noise(encoded, NoiseStreams.evaluation(encoded.image, EVALUATION_SEED + draw), slice(None), 1)
        shown = rd.obfuscate(encoded, mask, noise)[0, 0]
    answer: dict[str, Any] = plain({
        **summarise(rd, encoded, outcome, doubts).row(0),
        "class_name": rd.classifier.class_name(int(encoded.target[0])),
        "classes": _likeliest(rd, encoded, outcome.probabilities[0]),
        "picture": webp_url(shown),
    })  # fmt: skip
    return answer


def over_wavelets(rd: RateDistortion, encoded: EncodedBatch, drawn: Tensor) -> Tensor:
    """A drawn mask ``(1, H, W)`` as one over wavelet coefficients, ``(1, k)``.

    An entry is kept by the mean of the drawn mask over the support of its basis function.
    """
    assert isinstance(rd.transform, Wavelet)
    return support_means(rd.transform.wavelet, rd.transform.padding, encoded.layout, drawn)


def _likeliest(rd: RateDistortion, encoded: EncodedBatch, probabilities: Tensor) -> list[dict[str, Any]]:
    """The explained class and the likeliest others, with their probabilities before and under the noise."""
    target, clean = int(encoded.target[0]), encoded.probabilities[0]
    others = [index for index in probabilities.argsort(descending=True).tolist() if index != target]
    return [
        {"name": rd.classifier.class_name(index), "clean": clean[index].item(), "now": probabilities[index].item(),
         "explained": index == target}
        for index in [target, *others[: LIKELIEST - 1]]
    ]  # fmt: skip
