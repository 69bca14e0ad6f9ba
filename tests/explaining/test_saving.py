"""Results of signals with one to three axes: rows, mask files, and what is written beside them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from amortex.classifiers.classifier import Classifier
from amortex.core.errors import InputError
from amortex.explainers.baselines import Ordering
from amortex.explaining.batch import Request
from amortex.explaining.notebook import NotebookResult
from amortex.explaining.rendering import summary_line
from amortex.explaining.results import ExplanationResult, explain_timed
from amortex.explaining.saving import save_result
from amortex.io.finding import Source
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.explaining import rows
from helpers.networks import AnyAxes

SIZES = {1: (40,), 2: (9, 10), 3: (6, 5, 7)}


def result_of(dims: int, result: type = ExplanationResult, count: int = 2):
    """Explanations of random signals with so many axes."""
    size = SIZES[dims]
    config = {"input_size": (2, *size), "mean": (0.5,), "std": (0.5,)}
    classifier = Classifier(AnyAxes([2, *size]), config, "linear", class_names=["a", "b", "c", "d", "e"])
    rd = RateDistortion(classifier, Wavelet("haar", 2, dims=dims))
    signals = torch.rand(count, 2, *size, generator=torch.Generator().manual_seed(0))
    sources = [Source(Path(f"signal{index}"), Path(f"signal{index}")) for index in range(count)]
    request = Request(Ordering(rd, "magnitude", rate=0.2), "magnitude")
    return explain_timed(result, request.explainer, request.settings(), sources, signals)


@pytest.mark.parametrize("dims", SIZES)
def test_masks_are_written_by_the_names_of_their_bands(tmp_path, dims):
    result = result_of(dims)
    written = save_result(result, tmp_path / "out", samples=4)
    assert [row["file"] for row in written] == [row["file"] for row in rows(tmp_path / "out")] == ["signal0", "signal1"]
    layout = result.encoded.layout
    bands = load_file(tmp_path / "out" / written[1]["mask"])
    assert [tuple(bands[band.name].shape) for band in layout.bands] == [band.shape for band in layout.bands]
    assert torch.equal(layout.join([bands[band.name] for band in layout.bands]), result.mask[1])
    endings = {1: ["dropped.wav", "kept.wav"], 2: ["explanation.png"], 3: ["kept.npy"]}[dims]
    files = sorted(path.name for path in (tmp_path / "out").glob("signal0_*"))
    assert files == sorted(f"signal0_{ending}" for ending in (*endings, "mask.safetensors", "panel.png"))


def test_a_row_has_the_certificate_that_is_asked_for():
    result = result_of(1)
    assert "distortion" not in result.row(0)
    few, many = result.certificate(4), result.certificate(16)
    assert result.row(0)["distortion"] == many.distortion[0].item()
    assert result.row(0, 4)["distortion"] == few.distortion[0].item()
    assert summary_line("signal0", result.row(0)).startswith("signal0: ")


def test_what_was_measured_is_saved_and_not_measured_again(tmp_path, monkeypatch):
    result = result_of(1)
    with pytest.raises(InputError, match="at least 2 samples, not 0"):
        save_result(result, tmp_path / "out", samples=0)
    result.certificate(4)
    few = result.certificate(6)
    monkeypatch.setattr("amortex.explaining.results.certify", lambda *_: pytest.fail("measured again"))
    saved = save_result(result, tmp_path / "out")
    assert [row["distortion"] for row in saved] == few.distortion.tolist()
    assert json.loads((tmp_path / "out/settings.json").read_text())["certificate_samples"] == 6


@pytest.mark.parametrize("dims", SIZES)
def test_a_row_says_what_the_kept_part_is_alone(dims):
    result = result_of(dims)
    assert "kept_class" not in result.row(0)
    result.certificate(2)
    rd = result.rate_distortion
    probabilities = rd.phi(result.kept.clamp(*rd.value_range))
    for index in range(2):
        row = result.row(index)
        assert row["kept_class"] == "abcde"[int(probabilities[index].argmax())]
        assert row["kept_probability"] == pytest.approx(probabilities[index, row["target"]].item(), abs=1e-6)


@pytest.mark.parametrize(("settings", "said"), [({}, True), ({"explainer_min_retention": 0.95}, False)])
def test_a_rate_that_was_chosen_for_the_retention_is_not_called_unconverged(settings, said):
    result = result_of(2)
    result = replace(result, settings={**result.settings, **settings})
    row = {"preset": "fast", "lambda_k": 20.0, "rate": 0.2}
    assert bool(result._unconverged(row)) == said


def test_results_say_what_they_are():
    assert repr(result_of(1)) == "ExplanationResult(2 by magnitude)"
    assert repr(result_of(1, NotebookResult)).count("not measured yet") == 2
