"""The closing line of training: what it says, when it is said, and that it changes nothing."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from amortex.amortized.explainer import Amortized
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.data.validation import evenly_spaced
from amortex.explainers import build_explainer
from amortex.training.callbacks import FitSummary, summary
from amortex.training.callbacks.summary import Objectives, averaged
from helpers.data import make
from helpers.presets import SHORT
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
        "objective at lambda_k = 2.5 on 4 validation images: this explainer 0.212 (hard masks in its order at their "
        "best rates: 0.200), hard masks in the best trivial order 0.381 (magnitude), empty mask 0.640, "
        "CartoonX fast 0.101 "
        "(measured in 38 s; --summary.images 0 leaves this out)"
    )
    worse = str(replace(GOOD, explainer=0.7, explainer_best=0.4))
    assert worse.endswith(
        ": on these images it is not better than the ordering magnitude and the empty mask; "
        "train longer (--trainer.max_steps)"
    )
    badly_cut = str(replace(GOOD, explainer=0.5, explainer_best=0.3))
    assert badly_cut.endswith(
        ": on these images it is not better than the ordering magnitude; train longer (--trainer.max_steps), "
        "or explain with --select-rate"
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


class Log:
    """A logger."""

    def __init__(self) -> None:
        self.logged: dict[str, float] = {}

    def log_metrics(self, values: dict[str, float], step: int) -> None:
        self.logged.update(values)

    def save(self) -> None:
        pass


def test_what_is_logged_is_the_objective_of_the_masks(monkeypatch, capsys):
    def short(name, rd, **options):
        return build_explainer(name, rd, **options | ({"preset": SHORT} if options else {}))

    monkeypatch.setattr(summary, "build_explainer", short)
    data, module, log = make(input_size=32, val_images=2), training_module(), Log()
    FitSummary(images=2, samples=4, lambda_k=2.0).on_fit_end(trainer(data, loggers=[log], global_step=3), module)
    rd, image = module.predictor.rate_distortion, evenly_spaced(data.val_source.source, data.preparation, 2)
    encoded = rd.encode(image)
    mask = short("cartoonx", rd, lambda_k=2.0, preset="fast").explain(image).mask

    def expected(mask: torch.Tensor) -> float:
        distortion = rd(encoded, mask, NoiseStreams.evaluation(image), 4).distortion
        return (distortion.mean(1) + 2.0 * mask.mean(1)).mean().item()

    assert log.logged["summary/cartoonx"] == pytest.approx(expected(mask), rel=1e-3)
    assert log.logged["summary/empty"] == pytest.approx(expected(torch.zeros_like(mask)), rel=1e-5)
    with averaged(module) as predictor:
        own = Amortized(predictor, 2.0).explain(image).mask
    assert log.logged["summary/explainer"] == pytest.approx(expected(own), rel=1e-5)
    assert f"empty mask {log.logged['summary/empty']:.3f}" in capsys.readouterr().out


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA"), MemoryError(),
                                   RuntimeError("DefaultCPUAllocator: can't allocate memory")])  # fmt: skip
def test_where_memory_runs_out_training_is_done_all_the_same(error, monkeypatch, capsys):
    data, module = make(input_size=32, val_images=2), training_module().train()
    decoder, build = module.predictor.decoder, summary.build_explainer

    def explainer(name, rd, **options):
        if name == "cartoonx":
            raise error
        return build(name, rd, **options)

    monkeypatch.setattr(summary, "build_explainer", explainer)
    FitSummary(samples=2).on_fit_end(trainer(data), module)
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "no closing measurement: out of memory (--summary.images 0 leaves this out)"
    assert module.predictor.decoder is decoder
    assert module.training


def test_errors_of_the_program_are_not_hidden(monkeypatch):
    monkeypatch.setattr(summary, "build_explainer", lambda *_, **__: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        FitSummary(samples=2).on_fit_end(trainer(make(input_size=32, val_images=2)), training_module())


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
        ({"samples": 1}, "summary.samples must be at least 2"),
        ({"lambda_k": float("nan")}, "summary.lambda_k must be at least 0 and finite"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        FitSummary(**settings)
