"""What a mask achieves as it is: operating point, class retained, conciseness, and no invented edges."""

import torch
from torch import Tensor

from amortex.explainers.base import Explanation, picture
from amortex.metrics import functional
from amortex.metrics.base import ExplanationMetric
from amortex.rate_distortion.pipeline import RateDistortion


class OperatingPoint(ExplanationMetric):
    """Rate and distortion of the soft mask (CartoonX, Fig. 7c), the objective at `lambda_k`, and class retained.

    Columns: those of `functional.operating_point`.

    Arguments:
        rd: over the transform that the explanations are over.
        lambda_k: weight of the rate in the objective.
        samples: noise draws.

    >>> metric = OperatingPoint(rd, lambda_k=5.0, samples=2)
    >>> metric.update(explanation)
    >>> means = metric.compute()
    >>> abs(means["objective"].mean - means["distortion"].mean - 5 * means["rate"].mean) < 1e-5
    True
    """

    def __init__(self, rd: RateDistortion, lambda_k: float = 5.0, samples: int = 64) -> None:
        super().__init__(("rate", "distortion", "l2", "objective", "retained", "retention", "target_probability"))
        self.rd, self.lambda_k, self.samples = rd, lambda_k, samples

    def evaluate(self, explanation: Explanation) -> Tensor:
        values = functional.operating_point(self.rd, explanation, self.lambda_k, self.samples)
        return torch.stack([values[name] for name in self.columns], 1)


class ClassRetained(ExplanationMetric):
    """Share of explanations whose mask keeps the explained class: the largest mean output under noise.

    Column: ``retained``.

    Arguments:
        rd: over the transform that the explanations are over.
        samples: noise draws.

    >>> metric = ClassRetained(rd, samples=2)
    >>> metric.update(replace(explanation, mask=torch.ones_like(explanation.mask)))
    >>> metric.compute()["retained"].mean
    1.0
    """

    def __init__(self, rd: RateDistortion, samples: int = 64) -> None:
        super().__init__(("retained",))
        self.rd, self.samples = rd, samples

    def evaluate(self, explanation: Explanation) -> Tensor:
        output = functional.mean_output(self.rd, explanation, self.samples)
        encoded = explanation.encoded
        retained = functional.retains_class(self.rd, output, encoded.target, encoded.highest)
        return retained[:, None].to(explanation.mask)


class ConcisenessPreciseness(ExplanationMetric):
    """Class probability per information of the explanation, by three measures of information; higher is better.

    Columns: ``cp_pixels``, ``cp_coefficients``, ``cp_entropy`` (see `functional.conciseness_preciseness`).

    Arguments:
        rd: over the transform that the explanations are over.

    >>> ConcisenessPreciseness(rd).evaluate(explanation).shape
    torch.Size([3, 3])
    """

    def __init__(self, rd: RateDistortion) -> None:
        super().__init__([f"cp_{name}" for name in functional.INFORMATION_MEASURES])
        self.rd = rd

    def evaluate(self, explanation: Explanation) -> Tensor:
        return torch.stack(list(functional.conciseness_preciseness(self.rd, explanation).values()), 1)


class Hallucination(ExplanationMetric):
    """Edges of the explanation picture that the image lacks, over those of the image; lower is better. Images only.

    Column: ``hallucination``.

    Arguments:
        rd: over the transform that the explanations are over.

    >>> Hallucination(rd).evaluate(explanation).shape
    torch.Size([3, 1])
    """

    def __init__(self, rd: RateDistortion) -> None:
        super().__init__(("hallucination",))
        self.rd = rd

    def evaluate(self, explanation: Explanation) -> Tensor:
        drawn = picture(self.rd, explanation)
        return functional.hallucination(explanation.encoded.image, drawn)[:, None]
