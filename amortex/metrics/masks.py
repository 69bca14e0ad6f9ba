"""What a mask achieves as it is: operating point, class retained, concise and without invented edges."""

import torch
from torch import Tensor

from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import Explanation, picture
from amortex.metrics import functional
from amortex.metrics.base import ExplanationMetric
from amortex.metrics.functional import kept
from amortex.rate_distortion.distortions import l2, of_class
from amortex.rate_distortion.pipeline import RateDistortion


class OperatingPoint(ExplanationMetric):
    """Rate and distortion of the soft mask (CartoonX, Fig. 7c), the objective at `lambda_k`, and class retained.

    Columns: ``rate``, ``distortion`` (that of `rd`; label_max for a class that is not predicted), ``l2``,
    ``objective``, ``retained``, ``target_probability`` (the mean under noise).

    Arguments:
        rd: over the transform that the explanations are over.
        lambda_k: weight of the rate in the objective.
        samples: noise draws.
    """

    def __init__(self, rd: RateDistortion, lambda_k: float = 5.0, samples: int = 64) -> None:
        super().__init__(("rate", "distortion", "l2", "objective", "retained", "target_probability"))
        self.rd, self.lambda_k, self.samples = rd, lambda_k, samples

    def evaluate(self, explanation: Explanation) -> Tensor:
        encoded = explanation.encoded
        streams = NoiseStreams.evaluation(encoded.image)
        (outputs,) = self.rd.probabilities(encoded, [explanation.mask], streams, self.samples)
        rate, mean = explanation.mask.mean(1), outputs.mean(1)
        distortion = self.rd.distortions(encoded, outputs).mean(1)
        distance = l2(encoded.probabilities, outputs, encoded.target).mean(1)
        retained = kept(mean, encoded.target).to(rate)
        probability = of_class(mean, encoded.target)
        return torch.stack([rate, distortion, distance, distortion + self.lambda_k * rate, retained, probability], 1)


class ClassRetained(ExplanationMetric):
    """Share of explanations whose mask keeps the explained class: argmax of the mean output under noise.

    Arguments:
        rd: over the transform that the explanations are over.
        samples: noise draws.
    """

    def __init__(self, rd: RateDistortion, samples: int = 64) -> None:
        super().__init__(("retained",))
        self.rd, self.samples = rd, samples

    def evaluate(self, explanation: Explanation) -> Tensor:
        encoded = explanation.encoded
        outcome = self.rd(encoded, explanation.mask, NoiseStreams.evaluation(encoded.image), self.samples)
        return kept(outcome.probabilities, encoded.target)[:, None].to(explanation.mask)


class ConcisenessPreciseness(ExplanationMetric):
    """CP by three measures of information; higher is better.

    Columns: ``cp_pixels``, ``cp_coefficients``, ``cp_entropy``.

    Arguments:
        rd: over the transform that the explanations are over.
    """

    def __init__(self, rd: RateDistortion) -> None:
        super().__init__([f"cp_{name}" for name in functional.INFORMATION])
        self.rd = rd

    def evaluate(self, explanation: Explanation) -> Tensor:
        return torch.stack(list(functional.conciseness_preciseness(self.rd, explanation).values()), 1)


class Hallucination(ExplanationMetric):
    """Edges of the explanation picture that the image has not, over those of the image; lower is better.

    Arguments:
        rd: over the transform that the explanations are over.
    """

    def __init__(self, rd: RateDistortion) -> None:
        super().__init__(("hallucination",))
        self.rd = rd

    def evaluate(self, explanation: Explanation) -> Tensor:
        drawn = picture(self.rd, explanation)
        return functional.hallucination(explanation.encoded.image, drawn)[:, None]
