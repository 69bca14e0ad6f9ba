"""Metrics of explanations: pure functions in `functional`, and torchmetrics whose states are summed across devices."""

from amortex.metrics import functional
from amortex.metrics.base import ExplanationMetric, ImageMean, Interval, bootstrap_seeds
from amortex.metrics.classes import ClassLeakage, Sanity, other_classes
from amortex.metrics.curves import InsertionDeletion, NoiseOutCurve, RateDistortionCurve
from amortex.metrics.fidelity import MuFidelity
from amortex.metrics.listening import MaskedIn, Separation
from amortex.metrics.masks import ClassRetained, ConcisenessPreciseness, Hallucination, OperatingPoint
from amortex.metrics.randomisation import cascading_randomisation, randomisation_stages
from amortex.metrics.ratios import AmortizationGap, BreakEven, ExplanationTime

# metrics of one explanation; the contract test runs each
METRICS: tuple[type[ExplanationMetric], ...] = (
    RateDistortionCurve, NoiseOutCurve, InsertionDeletion, MuFidelity, OperatingPoint, ClassRetained,
    ConcisenessPreciseness, Hallucination, MaskedIn,
)  # fmt: skip

__all__ = [
    "METRICS",
    "AmortizationGap",
    "BreakEven",
    "ClassLeakage",
    "ClassRetained",
    "ConcisenessPreciseness",
    "ExplanationMetric",
    "ExplanationTime",
    "Hallucination",
    "ImageMean",
    "InsertionDeletion",
    "Interval",
    "MaskedIn",
    "MuFidelity",
    "NoiseOutCurve",
    "OperatingPoint",
    "RateDistortionCurve",
    "Sanity",
    "Separation",
    "bootstrap_seeds",
    "cascading_randomisation",
    "functional",
    "other_classes",
    "randomisation_stages",
]
