"""What an explanation is worth, measured: rate, distortion with a confidence interval, class retained."""

from typing import NamedTuple

from torch import Tensor

from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams
from amortex.explainers.base import Explanation
from amortex.rate_distortion.pipeline import RateDistortion, class_probability


class Certificate(NamedTuple):
    """One value per image, ``(B,)`` each."""

    probability: Tensor  # of the explained class on the clean image
    rate: Tensor
    distortion: Tensor  # mean over the draws
    ci_low: Tensor  # 95 % confidence interval of that mean
    ci_high: Tensor
    retained: Tensor  # whether the class of the mean output under noise is the explained one


def certify(
    rd: RateDistortion, explanation: Explanation, samples: int = 64, seed: int = EVALUATION_SEED
) -> Certificate:
    """Measure masks on `samples` noise draws that no explainer has seen (a stream of their own per image).

    The interval is Student's t over draws, cut at zero. An obfuscation that is not random has no interval: its ends
    are the value; a single random draw has none either: its ends are NaN.
    """
    encoded = explanation.encoded
    outcome = rd(encoded, explanation.mask, NoiseStreams.evaluation(encoded.image, seed), samples)
    mean = outcome.distortion.mean(1)
    low, high = (mean, mean) if encoded.scale is None else outcome.interval()
    return Certificate(
        class_probability(encoded),
        outcome.rate,
        mean,
        low,
        high,
        outcome.probabilities.argmax(-1) == encoded.target,
    )
