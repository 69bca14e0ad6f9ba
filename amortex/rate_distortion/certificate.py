"""Certificates: what a mask achieves on noise that no explainer has seen."""

from typing import NamedTuple

from torch import Tensor

from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion, class_probability


class Certificate(NamedTuple):
    """One value per input, ``(B,)`` each."""

    probability: Tensor  # of the explained class on the clean input
    rate: Tensor
    distortion: Tensor  # mean over the draws
    ci_low: Tensor  # 95 % confidence interval of that mean
    ci_high: Tensor
    retained: Tensor  # whether the class of the mean output under noise is the explained one


def certify(
    rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, samples: int = 64, seed: int = EVALUATION_SEED
) -> Certificate:
    """Measure masks ``(B, k)`` on `samples` noise draws of a stream that no explainer sees.

    The interval is Student's t over the draws, cut at zero. If the obfuscation is not random, both ends are the
    distortion itself. A single random draw has no interval: both ends are NaN.
    """
    outcome = rd(encoded, mask, NoiseStreams.evaluation(encoded.image, seed), samples)
    mean = outcome.distortion.mean(1)
    low, high = (mean, mean) if encoded.scale is None else outcome.interval()
    retained = outcome.probabilities.argmax(-1) == encoded.target
    return Certificate(class_probability(encoded), outcome.rate, mean, low, high, retained)
