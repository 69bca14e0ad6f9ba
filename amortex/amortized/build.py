"""Predictors from plain settings: what configurations, checkpoints and releases hold."""

from collections.abc import Mapping
from typing import Any

from amortex.amortized.config import PredictorConfig, RefinementSchedule
from amortex.amortized.predictor import MaskPredictor
from amortex.classifiers.classifier import Classifier
from amortex.core.process import float32_by_default
from amortex.rate_distortion.problem import Problem


def build_predictor(
    problem: Problem,
    config: PredictorConfig | None = None,
    refinement: Mapping[str, Any] | None = None,
    classifier: Classifier | None = None,
) -> MaskPredictor:
    """An untrained predictor, with the `classifier` unless it has to be built.

    `refinement` is a `RefinementConfig` as a table: with any steps there is a refiner to learn.

    Raises:
        InputError: what the problem or the predictor refuses.
    """
    refinement = refinement or {}
    rate_distortion, schedule = problem.build(classifier), RefinementSchedule.trained_by(refinement)
    with float32_by_default():
        return MaskPredictor(rate_distortion, config, refinement.get("steps", 0) > 0, schedule)
