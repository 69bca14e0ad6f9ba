"""The closing line of training: what it says, when it is said, and that it changes nothing."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from amortex.core.errors import InputError
from amortex.training.callbacks import FitSummary, summary
from amortex.training.callbacks.summary import Objectives
from helpers.data import make
from helpers.problems import training_module

GOOD = Objectives(
    lambda_k=2.5, images=4, explainer=0.212, explainer_best=0.2, trivial={"magnitude": 0.381, "random_wavelets": 0.5},
    empty=0.64, cartoonx=0.101, seconds=37.8,
)  # fmt: skip


def trainer(data, **changes) -> SimpleNamespace:
    settings = {"is_global_zero": True, "fast_dev_run": False, "enable_validation": True, "loggers": []}
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    return SimpleNamespace(datamodule=data, strategy=strategy, **{**settings, **changes})


@pytest.fixture
def measured(monkeypatch):
    """What the callback has measured: predictors with their decoders, images and settings."""
    calls = []

    def measure(predictor, image, *settings):
        calls.append((predictor.decoder, predictor.training, image, settings))
        return GOOD

    monkeypatch.setattr(summary, "measure", measure)
    return calls


def test_the_line_says_how_good_the_explainer_is_and_what_to_do():
    assert str(GOOD) == (
        "objective at lambda_k = 2.5 on 4 validation images: this explainer 0.212 (0.200 at its best rates), "
        "best trivial ordering 0.381 (magnitude, at its best rates), empty mask 0.640, CartoonX fast 0.101 "
        "(measured in 38 s; --summary.images 0 leaves this out)"
    )
    worse = str(replace(GOOD, explainer=0.7, explainer_best=0.4))
    assert worse.endswith(
        ": it is worse than the ordering magnitude and the empty mask; train longer (--trainer.max_steps)"
    )
    badly_cut = str(replace(GOOD, explainer=0.5, explainer_best=0.3))
    assert badly_cut.endswith(
        ": it is worse than the ordering magnitude; train longer (--trainer.max_steps), or explain with --select-rate"
    )
    assert "\n" not in worse


def test_averaged_weights_are_measured_on_evenly_spaced_images_and_nothing_is_changed(measured, capsys):
    data, module = make(input_size=32, val_images=6), training_module().train()
    decoder, random = module.predictor.decoder, torch.get_rng_state()
    FitSummary(images=2, samples=3).on_fit_end(trainer(data), module)
    ((used, training, image, settings),) = measured
    assert used is module.average.module
    assert not training
    assert settings == (5.0, 3)
    expected = [batch["image"] for batch in data.val_dataloader()]
    assert torch.equal(image, torch.cat(expected)[[0, 3]].float() / 255)
    assert module.predictor.decoder is decoder
    assert module.predictor.training
    assert torch.equal(torch.get_rng_state(), random)
    assert capsys.readouterr().out == f"{GOOD}\n"


@pytest.mark.parametrize(
    "changes", [{"is_global_zero": False}, {"fast_dev_run": True}, {"enable_validation": False}, {"datamodule": None}]
)
def test_nothing_is_said_by_other_processes_or_in_trials(changes, measured, capsys):
    data = make(input_size=32, val_images=2)
    FitSummary().on_fit_end(SimpleNamespace(**{**vars(trainer(data)), **changes}), training_module())
    FitSummary(images=0).on_fit_end(trainer(data), training_module())
    assert not measured
    assert capsys.readouterr().out == ""


def test_images_without_a_class_are_left_out_and_training_does_not_fail_without_any(capsys):
    data, module = make(input_size=32, val_images=2), training_module()
    for parameter in module.predictor.rate_distortion.classifier.parameters():
        parameter.fill_(torch.nan)
    FitSummary().on_fit_end(trainer(data), module)
    assert "no closing measurement: the classifier's outputs" in capsys.readouterr().out


@pytest.mark.parametrize(("validated", "weight"), [((1.0, 2.5, 5.0, 10.0), 5.0), ((3.0, 1.0, 2.0), 2.0)])
def test_the_sparsity_weight_is_one_that_is_validated(validated, weight):
    assert FitSummary().weight(validated) == weight
    assert FitSummary(lambda_k=7.0).weight(validated) == 7.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": -1}, "summary.images must be at least 0"),
        ({"samples": 0}, "summary.samples must be at least 1"),
        ({"lambda_k": float("nan")}, "summary.lambda_k must be at least 0 and finite"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        FitSummary(**settings)
