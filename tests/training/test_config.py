"""Settings of training: ranges, and what goes together."""

import pytest

from amortex.core.errors import InputError
from amortex.rate_distortion.problem import Problem
from amortex.training.config import ObjectiveConfig, OptimizerConfig, RefinementConfig, check_validation, plain_values
from amortex.training.module import AmortizedTrainingModule
from helpers.networks import TinyNet


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (ObjectiveConfig, {"rates": (0.5, 0.1)}, "rates must be intervals"),
        (ObjectiveConfig, {"rate_spread": 1.5}, "rate_spread must be in"),
        (ObjectiveConfig, {"rise_threshold": -0.1}, "rise_threshold must be at least 0"),
        (ObjectiveConfig, {"curriculum": 2.0}, "curriculum must be in"),
        (ObjectiveConfig, {"masks": 0}, "masks must be at least 1"),
        (ObjectiveConfig, {"teacher_lr": 0.0}, "teacher_lr must be above 0"),
        (RefinementConfig, {"only": True}, "refinement.steps must be"),
        (RefinementConfig, {"other_targets": 0.5}, "above it for the other settings"),
        (RefinementConfig, {"unrolled": True}, "refinement.steps must be at least 0, and above it"),
        (RefinementConfig, {"steps": 2, "other_targets": 1.5}, "other_targets must be in"),
        (RefinementConfig, {"initial_rates": (4.0, 0.5)}, "initial_rates must be an interval"),
        (RefinementConfig, {"lambda_margin": 0.5}, "lambda_margin must be at least 1"),
        (RefinementConfig, {"min_schedule": 0.0}, "min_schedule must be above 0"),
        (RefinementConfig, {"steps": 3, "unrolled": True}, "fewest_steps must be at least 1, and at most"),
        (RefinementConfig, {"steps": 3, "unrolled": True, "fewest_steps": 0}, "fewest_steps must be at least 1"),
        (OptimizerConfig, {"ema": 1.0}, "ema must be in"),
        (OptimizerConfig, {"lr": float("inf")}, "lr must be above 0 and finite"),
    ],
)
def test_values_out_of_range_are_refused(config, settings, message):
    with pytest.raises(InputError, match=message):
        config(**settings)


def test_learned_refinement_needs_positive_sparsity_weights():
    check_validation((0.0, 1.0), 4, RefinementConfig())
    with pytest.raises(InputError, match="lambda_k must be finite numbers above 0"):
        check_validation((0.0, 1.0), 4, RefinementConfig(steps=2))
    with pytest.raises(InputError, match="lambda_k must be finite numbers at least 0"):
        check_validation((), 4, RefinementConfig())
    with pytest.raises(InputError, match="validation_samples must be at least 1"):
        check_validation((1.0,), 0, RefinementConfig())


def test_tuples_become_lists():
    assert plain_values({"a": (1, (2, 3)), "b": "text"}) == {"a": [1, [2, 3]], "b": "text"}


def test_a_module_is_no_classifier_that_a_checkpoint_could_name():
    with pytest.raises(InputError, match="of your own, give its class path and its weights"):
        AmortizedTrainingModule(Problem(classifier=TinyNet()))
