"""`explain.py` with a trained explainer: what can be asked of its rate, and what is refused."""

import json

import pytest
from safetensors.torch import load_file

from amortex.app import explain_cli as cli
from helpers.explaining import explain
from helpers.photographs import photographs
from helpers.releases import write_release


@pytest.fixture
def release(tmp_path):
    return write_release(tmp_path / "release")


def test_explain_with_a_trained_explainer(release, tmp_path, capsys):
    folder = photographs(tmp_path / "in", "a.png", "b.png")
    ours = ("--explainer", release)
    assert explain(folder, "--out", tmp_path / "out", *ours, "--rate", 0.1) == 0
    mask = load_file(tmp_path / "out/a_mask.safetensors")
    names = {"low", "level1", "level2"}
    assert set(mask) == names | {f"relevance.{name}" for name in names}
    total = sum(mask[name].sum().item() for name in names) / sum(mask[name].numel() for name in names)
    assert total == pytest.approx(0.1, rel=1e-3)
    rows = [json.loads(line) for line in (tmp_path / "out/summary.jsonl").read_text().splitlines()]
    assert [row["method"] for row in rows] == ["amortized"] * 2
    assert all(row["ci_low"] <= row["distortion"] <= row["ci_high"] for row in rows)
    for options in (("--lambda-k", 2), ("--select-rate",), ("--max-distortion", 0.1), ("--finetune-steps", 2),
                    ("--target", 1)):  # fmt: skip
        assert explain(folder, "--out", tmp_path / options[0], *ours, *options) == 0
    said = capsys.readouterr()
    assert not said.err
    rows = [json.loads(line) for line in (tmp_path / "--select-rate/summary.jsonl").read_text().splitlines()]
    assert ("masks do not keep their class" in said.out) == (not all(row["retained"] for row in rows))
    rows = [json.loads(line) for line in (tmp_path / "--target/summary.jsonl").read_text().splitlines()]
    assert ("masks do not reach that class" in said.out) == (not all(row["retained"] for row in rows))


@pytest.mark.parametrize(("bound", "none"), [("1e-12", True), ("0.9", False)])
def test_a_full_mask_for_want_of_a_sparser_one_is_said(bound, none, release, tmp_path, capsys):
    folder = photographs(tmp_path / "in", "a.png", "b.png")
    arguments = [str(folder), "--explainer", str(release), "--out", str(tmp_path / "out"), "--max-distortion", bound]
    assert cli.main([*arguments, "--classifier", "helpers.networks.TinyNet"]) == 0
    assert ("no mask of those tried holds that bound for 2 of 2" in capsys.readouterr().out) == none


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--method", "amortized", "--num-classes", 5), "there is no trained explainer for"),
        (("--passes", 64), "no trained explainer for helpers.networks.TinyNet: leave out --passes, or train one"),
        (("--rate", 0.1), "cartoonx has no --rate"),
        (("--explainer", "release", "--method", "cartoonx"), "cartoonx needs no --explainer"),
        (("--explainer", "nowhere"), "nowhere: no such file or folder"),
        (("--explainer", "release", "--num-classes", 7), "another classifier weights"),
        (("--explainer", "release", "--wavelet", "haar"), "another transform wavelet"),
        (("--explainer", "release", "--steps", 7), "amortized has no --steps"),
        (("--explainer", "release", "--classifier", "tf_efficientnet_lite0"), "if you trust it"),
    ],
)
def test_what_does_not_fit_is_refused_with_one_line(arguments, why, release, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photographs(tmp_path / "in", "a.png")
    assert explain("in", "--out", "out", *arguments) == 2
    error = capsys.readouterr().err
    assert why in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--wavelet", "haar", "--passes", "64"), "tf_efficientnet_lite0 with --wavelet: leave out --passes, or train"),
        (("--method", "amortized", "--levels", "3"), "tf_efficientnet_lite0 with --levels: train one"),
        (
            ("--modality", "volume", "--target", "3", "--passes", "64"),
            "cartoonx, which explains it instead, has no --pas",
        ),
    ],
)
def test_what_the_bundled_explainers_were_not_trained_for_is_said(arguments, why, capsys):
    assert cli.main(list(arguments)) == 2
    assert why in capsys.readouterr().err
