"""Curves over the share of coefficients: rate-distortion, noise-out, insertion and deletion."""

from collections.abc import Sequence

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.rates import CURVE_RATES
from amortex.explainers.base import Explanation
from amortex.metrics import functional
from amortex.metrics.base import ExplanationMetric
from amortex.rate_distortion.pipeline import RateDistortion

SHOWN_SHARES = 8  # intervals between the shares at which the insertion curve is a column


class RateDistortionCurve(ExplanationMetric):
    """Distortion at each rate, hard masks (CartoonX, Fig. 7a), and the area under the curve on two axes of rates.

    Columns: ``l2@RATE``, ``label_l2@RATE``, ``retained@RATE`` for each rate; ``l2_area``, ``l2_log_area`` (from rate
    0.005 on), ``label_l2_area``, ``label_l2_log_area``, mean heights of the curves; with a `lambda_k`,
    ``best_objective``, J of each image at its best rate, chosen on one half of the draws and measured on the other.
    Lower is better.

    Arguments:
        rd: over the transform that the explanations are over.
        rates: shares of coefficients.
        samples: noise draws.
        lambda_k: weight of the rate in the objective.

    Raises:
        InputError: a `lambda_k`, and a single draw, which leaves none to measure the chosen rate on.

    >>> metric = RateDistortionCurve(rd, rates=(0.05, 0.2, 1.0), samples=2)
    >>> metric.update(explanation)
    >>> print(f"{metric.compute()['l2@1'].mean:.3f}")  # nothing is replaced
    0.000
    """

    noise_out = False

    def __init__(
        self,
        rd: RateDistortion,
        rates: Sequence[float] = CURVE_RATES,
        samples: int = 64,
        lambda_k: float | None = None,
    ) -> None:
        if lambda_k is not None and samples < 2:
            raise InputError(f"best_objective needs at least 2 samples, not {samples}")
        kinds = ("l2", "label_l2", "retained")
        columns = [f"{kind}@{rate:g}" for kind in kinds for rate in rates]
        areas = [f"{kind}_{axis}" for kind in kinds[:2] for axis in ("area", "log_area")]
        columns = [("out_" if self.noise_out else "") + name for name in columns + areas]
        super().__init__(columns if lambda_k is None else [*columns, "best_objective"])
        self.rd, self.rates, self.samples, self.lambda_k = rd, tuple(rates), samples, lambda_k

    def evaluate(self, explanation: Explanation) -> Tensor:
        curve = functional.rate_distortion_curve(self.rd, explanation, self.rates, self.samples, self.noise_out)
        areas = [functional.area(self.rates, curve[kind], log) for kind in ("l2", "label_l2") for log in (False, True)]
        values = [curve["l2"], curve["label_l2"], curve["retained"], torch.stack(areas, 1)]
        if self.lambda_k is not None:
            values.append(functional.best_objective(self.rates, curve["distortion"], self.lambda_k)[:, None])
        return torch.cat(values, 1)


class NoiseOutCurve(RateDistortionCurve):
    """Distortion as noise replaces the most relevant coefficients first (CartoonX, Fig. 7b); higher is better.

    Columns as those of `RateDistortionCurve`, with ``out_`` in front.

    >>> NoiseOutCurve(rd, rates=(0.0, 1.0)).columns[:2]
    ('out_l2@0', 'out_l2@1')
    """

    noise_out = True


class InsertionDeletion(ExplanationMetric):
    """Areas under the class probability as coefficients are inserted and deleted, and their difference.

    Columns: ``insertion``, ``deletion``, ``faithfulness`` (the difference), and ``inserted@SHARE`` at nine shares. The
    trapezoid rule over `steps` intervals of equal width, zero baseline (Petsiuk et al. 2018; WAM, Kasmi et al. 2025).

    Arguments:
        rd: over the transform that the explanations are over.
        steps: number of intervals, at least 2.

    Raises:
        InputError: fewer steps.

    >>> InsertionDeletion(rd, steps=4).columns[:4]
    ('insertion', 'deletion', 'faithfulness', 'inserted@0')
    """

    def __init__(self, rd: RateDistortion, steps: int = 64) -> None:
        if steps < 2:
            raise InputError(f"insertion and deletion need at least 2 steps, not {steps}")
        self.shown = sorted({round(steps * share / SHOWN_SHARES) for share in range(SHOWN_SHARES + 1)})
        columns = ["insertion", "deletion", "faithfulness", *(f"inserted@{step / steps:g}" for step in self.shown)]
        super().__init__(columns)
        self.rd, self.steps = rd, steps

    def evaluate(self, explanation: Explanation) -> Tensor:
        curves = functional.insertion_deletion(self.rd, explanation, self.steps)
        insertion, deletion = (torch.trapezoid(curves[name], dx=1 / self.steps) for name in ("insertion", "deletion"))
        areas = torch.stack([insertion, deletion, insertion - deletion], 1)
        return torch.cat([areas, curves["insertion"][:, self.shown]], 1)
