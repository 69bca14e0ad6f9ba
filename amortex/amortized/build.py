"""Predictors from plain settings: what configurations, checkpoints and releases hold."""

from amortex.amortized.config import PredictorConfig, RefinementSchedule
from amortex.amortized.predictor import MaskPredictor
from amortex.classifiers.classifier import Classifier
from amortex.core.process import float32_by_default
from amortex.rate_distortion.problem import Problem


def build_predictor(
    problem: Problem,
    config: PredictorConfig | None = None,
    refiner: bool = False,
    classifier: Classifier | None = None,
    schedule: RefinementSchedule | None = None,
) -> MaskPredictor:
    """An untrained predictor, with the `classifier` unless it has to be built; with a `refiner` if there is one to
    learn.

    Raises:
        InputError: what the problem or the predictor refuses.
    """
    rate_distortion = problem.build(classifier)
    with float32_by_default():
        return MaskPredictor(rate_distortion, config, refiner, schedule)
