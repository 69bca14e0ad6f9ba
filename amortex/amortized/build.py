"""Predictors from plain settings: what configurations, checkpoints and releases hold."""

from collections.abc import Mapping
from typing import Any

from amortex.amortized.config import PredictorConfig, RefinementSchedule
from amortex.amortized.predictor import MaskPredictor
from amortex.classifiers.classifier import Classifier
from amortex.core.errors import InputError
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
        InputError: what the problem or the predictor refuses; the problem has a module instead of a name, which no file
            of weights could name.
    """
    if classifier is None and not isinstance(problem.classifier, str):
        raise InputError(
            "to train an explainer for a network of your own, give its class path and its weights: "
            'Problem(classifier="my_package.Net", weights="net.pth")'
        )
    refinement = refinement or {}
    rate_distortion, schedule = problem.build(classifier), RefinementSchedule.trained_by(refinement)
    with float32_by_default():
        refiner, path = (refinement.get(steps, 0) > 0 for steps in ("steps", "path_steps"))
        return MaskPredictor(rate_distortion, config, refiner, schedule, path)
