"""The problem that most tests of the amortized explainers solve: a small network, two levels of wavelets."""

from typing import Any

from amortex.amortized.config import PredictorConfig
from amortex.rate_distortion.problem import Problem
from amortex.training.module import AmortizedTrainingModule


def tiny_problem(network: str = "TinyNet", **changes: Any) -> Problem:
    """Images of 3x32x32; `network` is a class of `helpers.networks`."""
    settings = {"input_size": 32, "mean": [0.5], "std": [0.5], "levels": 2, **changes}
    return Problem(classifier=f"helpers.networks.{network}", **settings)


def training_module(width: int = 8, **groups: Any) -> AmortizedTrainingModule:
    """An untrained module; `groups` are its settings besides the problem."""
    return AmortizedTrainingModule(tiny_problem(), **{"predictor": PredictorConfig(width=width), **groups})
