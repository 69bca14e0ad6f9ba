"""The comparison end to end: report, cache, several devices, methods that are not available."""

import json
import signal

import pytest
import torch
import wandb
from PIL import Image

from amortex.app import train_cli
from amortex.classifiers.loading import load_classifier
from amortex.comparison import Comparison, leaders, module
from amortex.comparison.cache import ResultCache
from amortex.comparison.config import Protocol
from amortex.comparison.explained_batch import ExplainedBatch
from amortex.comparison.methods import Method
from amortex.comparison.stopwatch import Stopwatch
from amortex.comparison.studies import scale_study
from amortex.explainers.minimal_image import MinimalImage
from amortex.explainers.wam import WAM
from amortex.explaining import distributed as sharing
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.comparing import TINY, compare, table
from helpers.training import ROOT


def test_a_report_and_a_rerun_from_the_cache(folder, capsys):
    assert compare() == 0
    report = (folder / "report/report.md").read_text()
    assert "Guided Backprop: " in report  # TinyNet has no ReLU: said, not dropped
    assert "not available" in report
    for name in ("rate_distortion", "noise_out", "operating_points", "pareto", "mapped", "scales", "gallery/0"):
        assert (folder / "report" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"({name}.png)" in report
    native = table(folder / "report", "native")
    assert native["cartoonx", "rate"]["images"] == "3"
    assert float(native["cartoonx", "passes"]["mean"]) >= 3 * 2 * 2000
    assert float(native["cartoonx", "l2@1"]["mean"]) < 1e-5
    rows = [json.loads(line) for line in (folder / "report/images.jsonl").read_text().splitlines()]
    assert len([row for row in rows if row["row"] == "cartoonx" and row["table"] == "native"]) == 3
    first = {file.name: file.read_bytes() for file in (folder / "report").glob("*.csv")}
    assert compare("--model.gallery", "0") == 0
    assert "explaining: CartoonX" in report
    assert "explaining: CartoonX" not in (folder / "report/report.md").read_text()
    assert first == {file.name: file.read_bytes() for file in (folder / "report").glob("*.csv")}


def test_methods_are_compared_with_a_reference_image_by_image(folder, monkeypatch, capsys):
    monkeypatch.setattr(module, "LONG", 0.0)
    names = "[random_wavelets, magnitude]"
    conciseness = ("--model.metrics", "[conciseness]", "--model.sections", "[methods]")
    assert compare("--model.methods", names, "--model.reference", "random_wavelets", *conciseness) == 0
    report = (folder / "report/report.md").read_text()
    assert "Magnitude (native): 2 images took " in capsys.readouterr().out  # what takes long is told while it goes on
    assert "Differences to the reference" in report
    assert "## In short" not in report  # three images are too few
    native, differences = (table(folder / "report", name) for name in ("native", "differences"))
    for column in ("cp_pixels", "cp_coefficients", "cp_entropy", "hallucination"):
        means = [float(native[row, column]["mean"]) for row in ("magnitude", "random_wavelets")]
        assert float(differences["magnitude", column]["mean"]) == pytest.approx(means[0] - means[1], abs=1e-5)
    assert {row for row, _ in differences} == {"magnitude"}


def test_orders_are_measured_at_the_rates_that_are_asked_for(folder, monkeypatch):
    monkeypatch.setattr(leaders, "FEWEST_IMAGES", 2)
    chosen = ("--model.methods", "[magnitude]", "--model.metrics", "[noise_out]", "--model.sections", "[methods]")
    assert compare(*chosen, "--model.rates", "[0.1, 0.6]") == 0
    columns = {column for _, column in table(folder / "report", "native")}
    assert {name for name in columns if "@" in name} == {
        f"out_{kind}@{rate}" for kind in ("l2", "label_l2", "retained") for rate in (0.1, 0.6)
    }
    names = "[magnitude, random_wavelets]"
    distortion = ("--model.methods", names, "--model.metrics", "[distortion]", "--model.sections", "[methods]")
    assert compare(*distortion, "--model.rates", "[0.1, 0.6]") == 0
    report = (folder / "report/report.md").read_text()
    assert "| l2@0.1 | l2@0.6 | retained@0.1 | retained@0.6 |" in report
    for rate in ("0.1", "0.6"):
        assert f"| output distance at a rate of {rate} (lowest) |" in report.split("## Each method")[0]
    assert {"out_l2_area", "out_l2_log_area"} <= columns


def test_variants_are_rows_under_their_labels(folder):
    quick = "method: cartoonx, preset: fast, steps: 2, samples: 1"
    variants = (
        f"{{'From zeros, quick': {{{quick}, init: zeros}}, From ones: {{{quick}}}, from 20: {{{quick}, lambda_k: 20}}}}"
    )
    settings = ("--model.methods", "[]", "--model.sections", "[methods]", "--model.metrics", "[distortion]")
    assert compare(*settings, "--model.variants", variants, "--model.reference", "From ones") == 0
    native = table(folder / "report", "native")
    value = {key: float(row["mean"]) for key, row in native.items()}
    assert {row for row, _ in value} == {"From zeros, quick", "From ones", "from 20"}
    assert value["From zeros, quick", "rate"] < 0.15
    assert value["From ones", "rate"] > 0.85
    for row, lambda_k in (("From zeros, quick", 5), ("From ones", 5), ("from 20", 20)):
        objective = value[row, "distortion"] + lambda_k * value[row, "rate"]
        assert value[row, "objective"] == pytest.approx(objective, rel=1e-5)
    assert "| From zeros, quick |" in (folder / "report/report.md").read_text()


def test_images_that_are_left_out_are_listed_and_in_no_mean(folder):
    light = ("--model.methods", "[random_wavelets]", "--model.sections", "[methods]", "--model.gallery", "0",
             "--model.cache", "null", "--model.problem.classifier", "helpers.networks.NanOnWhite")  # fmt: skip
    assert compare(*light, "--data.val_images", "5", "--model.out", "whole") == 0
    for name in ("2b.png", "2c.png", "2d.png"):  # among them a whole batch
        (folder / "photos" / name).write_text("no image")
    Image.new("L", (40, 40), "white").save(folder / "photos/white.png")
    assert compare(*light, "--data.val_images", "9") == 0
    expected, found = (table(folder / name, "native") for name in ("whole", "report"))
    assert found["random_wavelets", "objective"]["images"] == "5"
    for key, row in expected.items():
        if key[1] != "seconds":
            assert float(found[key]["mean"]) == pytest.approx(float(row["mean"]), abs=1e-5, nan_ok=True), key
    report = (folder / "report/report.md").read_text()
    assert "5 images of " in report
    assert "- `white.png`: the classifier's output is not finite" in report
    assert report.count("png`: not a readable image (UnidentifiedImageError") == 3


def test_the_report_is_in_an_offline_wandb_run_as_well(folder, request):
    config = ("--config", str(ROOT / "configs/compare/cpu.yaml"))
    light = ("--model.methods", "[wam_sg]", "--model.sections", "[methods]", "--model.cache", "null")
    request.addfinalizer(wandb.teardown)  # its service would go on in this test's folder
    quiet = [value for value in TINY if value not in ("--trainer.logger", "false", "--trainer.enable_progress_bar")]
    assert train_cli.main(["compare", *config, *quiet, *light]) == 0
    (offline,) = (folder / "runs/wandb").glob("offline-run-*")
    media = {path.parent.name + "/" + path.name.split("_")[0] for path in offline.rglob("*.png")}
    assert "report/rate" in media
    assert list(offline.rglob("native*.table.json"))


@pytest.mark.parametrize("explaining", [True, False])
def test_a_signal_to_end_is_not_kept_until_a_batch_is_done(explaining, folder, monkeypatch):
    owner, name = (sharing, "ResultsFolder") if explaining else (Comparison, "_usable")
    handlers, inner = [], getattr(owner, name)

    def noting(*arguments):
        handlers.append(signal.getsignal(signal.SIGTERM))
        return inner(*arguments)

    monkeypatch.setattr(owner, name, noting)
    if explaining:
        network = ("--classifier", "helpers.networks.TinyNet", "--input-size", "32", "--mean", "0.5", "--std", "0.5")
        assert train_cli.main(["explain", "photos", "--method", "wam", "--levels", "2", *network]) == 0
    else:
        assert compare("--model.sections", "[scales]", "--model.gallery", "0") == 0
    assert set(handlers) == {signal.SIG_DFL}
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # as it was before


def test_unknown_names_are_refused(folder, capsys):
    assert compare("--model.methods", "[nonsense]") == 2
    assert "unknown method 'nonsense'" in capsys.readouterr().err
    assert not (folder / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--model.lambda_k", "[-1.0]"), "lambda_k must be numbers of at least 0"),
        (("--model.sections", "[methods, nonsense]"), "unknown section 'nonsense'"),
        (("--model.preset", "nonsense"), "unknown preset 'nonsense'"),
        (("--model.effort_budgets", "[0]"), "effort_budgets at least 1"),
        (("--model.samples", "1"), "samples must be at least 2, not 1"),
        (("--model.reference", "nonsense"), "'nonsense' is no row of the section methods: use one of cartoonx"),
        (("--trainer.precision", "bf16-true"), "trainer.precision is one of"),
    ],
)
def test_settings_that_make_no_sense_get_one_line(arguments, why, folder, capsys):
    assert compare(*arguments) == 2
    assert why in capsys.readouterr().err
    assert not (folder / "report").exists()


def test_figures_belong_to_a_device(images, tiny_classifier, tmp_path, monkeypatch):
    rd, cache, runs = RateDistortion(tiny_classifier, Wavelet("haar", 2)), ResultCache(tmp_path), []
    method = Method("minimal", MinimalImage(rd, steps=12), "exact")
    run = ExplainedBatch._run
    monkeypatch.setattr(ExplainedBatch, "_run", lambda self, *args: runs.append(1) or run(self, *args))
    for device in ("cpu", "cpu", "cuda"):
        monkeypatch.setattr(ExplainedBatch, "device", property(lambda self, device=device: device))
        ExplainedBatch(images[:1], cache, Stopwatch()).explain(method)
    assert len(runs) == 2


def test_methods_of_one_name_are_told_apart_and_a_damaged_cache_is_made_again(images, tiny_classifier, tmp_path):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    batch = ExplainedBatch(images, ResultCache(tmp_path), Stopwatch())
    few, many = (batch.explain(Method("wam", WAM(rd, rate=rate), "exact")).explanation.mask for rate in (0.1, 0.5))
    assert few.mean() < 0.2 < many.mean()
    minimal = Method("minimal", MinimalImage(rd, steps=12), "exact")
    first = batch.explain(minimal)
    assert first.passes.tolist() == [3 * 12 + 1] * 3
    (damaged, *intact) = tmp_path.rglob("*.safetensors")
    assert len(intact) == 2
    damaged.write_bytes(b"no safetensors")
    again = ExplainedBatch(images, ResultCache(tmp_path), Stopwatch()).explain(minimal)
    torch.testing.assert_close(again.explanation.mask, first.explanation.mask, rtol=0, atol=1e-4)


def test_classifiers_that_differ_in_their_arguments_or_normalisation_share_no_figures():
    kinds = ({}, {"model_args": {"sharpness": 5.0}}, {"mean": [0.1]})
    keys = set()
    for kind in kinds:
        classifier = load_classifier("helpers.networks.TinyNet", input_size=32, **{"mean": [0.5], "std": [0.5], **kind})
        rd = RateDistortion(classifier, Wavelet("haar", 2))
        keys |= {str(Method("wam", WAM(rd), "exact").settings), str(scale_study(rd, Protocol()).settings)}
    assert len(keys) == 2 * len(kinds)


def test_training_seconds_belong_to_an_explainer(folder, capsys):
    assert compare("--model.training_seconds.nobody", "10") == 2
    assert "the break-even of 'nobody' needs an explainer of that name" in capsys.readouterr().err
