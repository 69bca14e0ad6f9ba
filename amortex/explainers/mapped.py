"""Pixel attributions as orders of wavelet coefficients, so that they can be measured in the same basis."""

import torch

from amortex.explainers.base import Explanation, ranking
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.supports import support_means
from amortex.transforms.wavelet import Wavelet


def in_coefficients(explanation: Explanation, rd: RateDistortion, rate: float = 0.05) -> Explanation:
    """An explanation over pixels as one over the wavelet coefficients of `rd`.

    The relevance of a coefficient is its magnitude (summed over channels) times the mean relevance of the pixels in the
    support of its basis function. The mask keeps the share `rate`.
    """
    assert isinstance(rd.transform, Wavelet)
    pixels = explanation.encoded
    encoded = rd.encode(pixels.image, pixels.target, pixels.probabilities)
    maps = explanation.relevance.unflatten(1, pixels.layout.size)
    with torch.no_grad():
        relevance = support_means(
            rd.transform.wavelet, rd.transform.padding, encoded.layout, maps
        ) * encoded.coefficients.flat.abs().sum(1)
    return ranking(encoded, relevance, rate)
