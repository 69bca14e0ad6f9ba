"""`explain.py` from end to end: every method, what is written, repeatability."""

import json
from pathlib import Path

import numpy as np
import pytest
import pywt
import torch
from PIL import Image

import amortex
from amortex.app.explain_cli import main
from amortex.classifiers.default import DEFAULT_CLASSIFIER
from amortex.explainers import METHODS
from amortex.explaining import batch
from amortex.io.images import Preprocess
from amortex.transforms.shearlet import Shearlet
from helpers.explaining import FAST, TINY, explain, flat_mask, mask_file, rows
from helpers.photographs import photographs

OPTIMISED = ("cartoonx", "pixel_rde", "fourier_rde", "polar_rde", "shearletx", "waveletx")
QUICK = {  # options that keep a method quick
    **dict.fromkeys(OPTIMISED, FAST), **dict.fromkeys(("wam_sg", "wam_ig"), ("--samples", "2")),
    "minimal": ("--steps", "2"),
}  # fmt: skip
EXTRA = {
    name: ("relevance", "signed") if entry.kind == "classical" or name.startswith("wam") else ("relevance",)
    for name, entry in METHODS.items()
    if name != "minimal"
}
CONFIG = {"input_size": (3, 32, 32), "interpolation": "bicubic", "crop_pct": 0.875, "crop_mode": "center"}


@pytest.fixture
def two(tmp_path) -> Path:
    return photographs(tmp_path / "in", "a.png", "b/c.jpg")


def expected_shapes(method: str) -> dict[str, tuple[int, ...]]:
    """One tensor for each band of each thing that the method's files hold."""
    low, level2, level1 = pywt.wavedec2(np.zeros((32, 32)), "db3", "zero", 2)
    bands = {"low": low.shape, "level1": (3, *level1[0].shape), "level2": (3, *level2[0].shape)}
    bands = {
        "pixel": {"mask": (32, 32)},
        "fourier": {"mask": (32, 17)},
        "polar": {"magnitude": (32, 17), "phase": (32, 17)},
        "shearlet": {band.name: band.shape for band in Shearlet(2).layout((32, 32)).bands},
    }.get(METHODS[method].transform, bands)
    names = ["", *(name + "." for name in EXTRA.get(method, ()))]
    return {p + band: bands[band] for p in names for band in bands}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_quietly_and_writes_one_tensor_per_band(two, tmp_path, capfd, method):
    out = tmp_path / "out"
    assert explain(two, "--method", method, "--out", out, *QUICK.get(method, ()), network="ReluNet") == 0
    assert capfd.readouterr() == ("", "")
    settings = json.loads((out / "settings.json").read_text())
    assert [row["file"] for row in rows(out)] == [str(two / "a.png"), str(two / "b" / "c.jpg")]
    assert [row["mask"] for row in rows(out)] == ["a_mask.safetensors", "b/c_mask.safetensors"]
    for row in rows(out):
        assert (row["method"], row["error"], row["seed"]) == (method, "", 0)
        assert row["class_name"] == f"class {row['target']}"
        assert row["lambda_k"] == (5.0 if method in OPTIMISED else "")
        assert row["preset"].startswith("fast") == (method in OPTIMISED)
        assert 0 <= row["ci_low"] <= row["distortion"] <= row["ci_high"]
        assert float(flat_mask(out / row["mask"]).mean()) == pytest.approx(row["rate"], abs=1e-5)
        tensors, metadata = mask_file(out / row["mask"])
        assert {key: tensor.shape for key, tensor in tensors.items()} == expected_shapes(method)
        for key, value in {**settings, **row}.items():
            assert (metadata[key] if isinstance(value, str) else json.loads(metadata[key])) == value


def test_the_picture_follows_from_the_mask_with_pywavelets_alone(two, tmp_path):
    assert explain(two / "a.png", "--out", tmp_path, "--wavelet", "sym4", "--steps", "40", "--lambda-k", "40") == 0
    tensors, settings = mask_file(tmp_path / "a_mask.safetensors")
    grey = Preprocess(CONFIG).load(two / "a.png").mean(0).numpy()
    wavelet, mode, levels = (settings[f"transform_{key}"] for key in ("wavelet", "padding", "levels"))
    low, *details = pywt.wavedec2(grey, wavelet, mode, int(levels))
    kept = [low * tensors["low"]]
    for detail, level in zip(details, range(int(levels), 0, -1), strict=True):
        kept.append(tuple(np.stack(detail) * tensors[f"level{level}"]))
    expected = pywt.waverec2(kept, wavelet, mode)[:32, :32].clip(0, 1)
    written = np.asarray(Image.open(tmp_path / "a_explanation.png")) / 255
    assert np.abs(written - expected).max() <= 1 / 255
    assert np.abs(written - grey).max() > 0.1  # the mask did take something away


def test_results_do_not_depend_on_the_batch_and_repeat_exactly(tmp_path):
    folder = photographs(tmp_path / "in", "a.png", "b.png", "c.png")
    for out, size in (("one", 1), ("three", 3), ("again", 3)):
        options = ("--batch-size", size, "--internal-batch-size", size, "--steps", 5, "--samples", 2)
        assert explain(folder, "--out", tmp_path / out, *options) == 0
    for name in ("a", "b", "c"):
        one, three, again = (
            flat_mask(tmp_path / out / f"{name}_mask.safetensors") for out in ("one", "three", "again")
        )
        torch.testing.assert_close(one, three, rtol=0, atol=1e-3)
        assert torch.equal(three, again)
    for row, other, same in zip(*(rows(tmp_path / out) for out in ("one", "three", "again")), strict=True):
        assert row["distortion"] == pytest.approx(other["distortion"], abs=1e-4)
        assert {**other, "seconds": 0} == {**same, "seconds": 0}
    assert explain(folder, "--out", tmp_path / "seed", "--seed", 1, "--steps", 5, "--samples", 2) == 0
    assert not torch.equal(flat_mask(tmp_path / "seed" / "a_mask.safetensors"), again)


def test_another_class_can_be_asked_for_by_index_and_by_name(two, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("ant\nbee, honey bee\ncow\ndog\neel")
    names = ("--class-names", tmp_path / "names.txt")
    assert explain(two, "--out", tmp_path / "auto", *FAST) == 0
    predicted = {row["target"] for row in rows(tmp_path / "auto")}
    asked = max({1, 2, 3, 4} - predicted)
    assert explain(two, "--out", tmp_path / "index", "--target", asked, *FAST, *names) == 0
    word = ["ant", "honey", "cow", "dog", "eel"][asked]
    assert explain(two, "--out", tmp_path / "word", "--target", word, *FAST, *names) == 0
    for out in ("index", "word"):
        for row, before in zip(rows(tmp_path / out), rows(tmp_path / "auto"), strict=True):
            assert row["target"] == asked
            assert row["class_name"] in ("ant", "bee", "cow", "dog", "eel")
            assert row["probability"] < before["probability"]


def test_panels_and_a_report_are_the_default(two, tmp_path, capsys):
    options = [option for option in TINY if option not in ("--no-panels", "--quiet")]
    arguments = ["--classifier", "helpers.networks.TinyNet", *options, str(two), "--out", str(tmp_path / "out"), *FAST]
    assert main(arguments) == 0
    start, *report = capsys.readouterr().out.splitlines()
    assert start.startswith(
        "explaining 2 images by cartoonx, for helpers.networks.TinyNet (no weights given: those of its constructor)"
    )
    assert len(report) == 3
    assert report[-1] == f"2 explained: {tmp_path / 'out'}"
    assert Image.open(tmp_path / "out" / "a_panel.png").width > 1000
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"0 explained, 2 were already: {tmp_path / 'out'}"]


def test_a_file_given_twice_is_explained_once(two, tmp_path):
    again = two / "b" / ".." / "a.png"
    assert explain(two / "a.png", two, again, "--out", tmp_path / "out", *FAST) == 0
    assert [row["file"] for row in rows(tmp_path / "out")] == [str(two / "a.png"), str(two / "b" / "c.jpg")]


def test_results_below_the_inputs_are_not_explained(two):
    photographs(two, "out/wam/old.png")
    for method in ("wam", "minimal"):
        assert explain(two, "--out", two / "out" / method, "--method", method, *QUICK.get(method, ())) == 0
        assert len(rows(two / "out" / method)) == (2 if method == "wam" else 3)  # old.png is no result of wam
    for _ in range(2):
        assert explain(two, "--out", two, *FAST) == 0
        assert len(rows(two)) == 3


def test_a_mask_that_keeps_the_class_in_most_draws_can_be_asked_for(two, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ("--method", "magnitude", "--min-retention", 0.9)
    assert explain(two, *arguments, "--certificate-samples", 256, "--out", out) == 0
    kept = rows(out)
    assert all(row["retention"] > 0.85 and row["retention_low"] < row["retention"] for row in kept)
    assert explain(two, *arguments, "--certificate-samples", 36, "--rate", "0.1", "--out", tmp_path / "none") == 2
    assert "rate and min-retention each choose the rate: give one of them" in capsys.readouterr().err


def test_small_images_are_noticed_once_in_a_run(two, tmp_path, caplog):
    for name in ("d.png", "e.png", "f.png"):
        Image.new("RGB", (15, 15)).save(two / name)
    arguments = [argument for argument in TINY if argument != "--quiet"]
    network = ("--classifier", "helpers.networks.TinyNet", "--method", "wam", "--batch-size", "2")
    assert main([str(two), *network, *arguments, "--out", str(tmp_path / "out")]) == 0
    (notice,) = caplog.messages
    assert notice.startswith("3 of 5 images are less than half as large as the classifier's input (32x32)")


@pytest.mark.parametrize(("size", "noticed"), [(96, True), (112, False), (448, False), (450, True)])
def test_sizes_far_from_those_of_training_are_noticed(size, noticed, caplog):
    amortex.load_explainer(method="wam", input_size=size, device="cpu")
    lines = [f"{DEFAULT_CLASSIFIER} was trained on inputs of 224x224: at {size}x{size} its classes are unreliable"]
    assert caplog.messages == lines * noticed


def test_rows_are_printed_as_they_come(tmp_path, monkeypatch, capsys):
    printed = []

    def write(*arguments, **options):
        printed.append(capsys.readouterr().out.count(", rate "))
        return original(*arguments, **options)

    original, folder = batch.write_input, photographs(tmp_path / "in", *(f"{number}.png" for number in range(3)))
    monkeypatch.setattr(batch, "write_input", write)
    arguments = [str(folder), "--classifier", "helpers.networks.TinyNet", *TINY, "--out", str(tmp_path / "out")]
    arguments.remove("--quiet")
    assert main([*arguments, "--method", "wam", "--batch-size", "1"]) == 0
    printed.append(capsys.readouterr().out.count(", rate "))
    assert printed == [0, 1, 1, 1]  # before each file is written, those since the one before
