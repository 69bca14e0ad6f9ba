"""Results are resumed after interruptions and never mixed; a run that breaks off at once leaves nothing."""

import json
from pathlib import Path

import pytest
import torch

from amortex.app import train_cli
from amortex.core.version import __version__
from amortex.explaining import folder, results, writer
from helpers.explaining import explain, flat_mask, rows
from helpers.results import NAMES, contents, files, one_by_one


def interrupt(monkeypatch, module, name: str, calls: int, error: BaseException) -> None:
    """Raise `error` in the given call of a function, counted from 1."""
    original, count = getattr(module, name), iter(range(1, 1000))

    def interrupted(*arguments, **more):
        if next(count) == calls:
            raise error
        return original(*arguments, **more)

    monkeypatch.setattr(module, name, interrupted)


@pytest.mark.parametrize("command", ["explain.py", "train.py explain"])
def test_a_run_that_breaks_off_before_its_first_result_leaves_nothing(command, three, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = (three, "--method", "guided_backprop", "--out", "new/out")
    if command == "explain.py":
        assert explain(*arguments) == 2
    else:
        network = ("--classifier", "helpers.networks.TinyNet", "--input-size", "32", "--trainer.accelerator", "cpu")
        assert train_cli.main(["explain", *map(str, arguments), *network]) == 2
    assert "reaches 0 ReLU modules" in capsys.readouterr().err
    assert not Path("new").exists()


def test_a_run_that_breaks_off_before_its_first_result_leaves_what_was_there(three, out, capsys):
    assert one_by_one(three / "a.png", out) == 0
    before = contents(out)
    assert explain(three, "--method", "guided_backprop", "--out", out) == 2  # other settings
    assert contents(out) == before
    (out.parent / "mine").mkdir()
    (out.parent / "mine/notes.txt").touch()
    assert explain(three, "--method", "guided_backprop", "--out", out.parent / "mine") == 2
    assert [path.name for path in (out.parent / "mine").iterdir()] == ["notes.txt"]


def test_results_are_overwritten_with_the_first_new_one_and_not_before(three, out, monkeypatch):
    assert one_by_one(three, out) == 0
    before = contents(out)
    assert explain(three, "--method", "guided_backprop", "--out", out, "--overwrite") == 2  # it finds no ReLU
    assert contents(out) == before
    assert one_by_one(three, out) == 0  # they are still those of their settings
    with monkeypatch.context() as patch:
        interrupt(patch, results, "certify", 2, KeyboardInterrupt())
        assert one_by_one(three, out, "--seed", 1, "--overwrite") == 130
    assert files(rows(out)) == ["a.png"]
    assert sorted(path.name for path in out.glob("*.safetensors")) == ["a_mask.safetensors"]
    assert json.loads((out / "settings.json").read_text())["explainer_seed"] == 1


@pytest.mark.parametrize("place", ["certify", "panel_or_mask", "between the summaries"])
def test_an_interrupted_run_is_completed_by_the_same_command(three, out, monkeypatch, capsys, place):
    with monkeypatch.context() as patch:
        if place == "certify":
            interrupt(patch, results, "certify", 2, KeyboardInterrupt())
        elif place == "panel_or_mask":
            interrupt(patch, writer, "mask_file", 2, KeyboardInterrupt())
        else:
            interrupt(patch, folder, "append", 4, KeyboardInterrupt())  # after the second image's jsonl row
        assert one_by_one(three, out) == 130
    assert capsys.readouterr().err.strip() == "explain.py: interrupted; the same command resumes"
    first = (out / "a_mask.safetensors").stat().st_mtime_ns
    assert one_by_one(three, out) == 0
    assert (out / "a_mask.safetensors").stat().st_mtime_ns == first
    assert files(rows(out)) == list(NAMES)
    assert one_by_one(three, out / "whole") == 0
    for name in ("a", "b", "c"):
        uninterrupted = flat_mask(out / "whole" / f"{name}_mask.safetensors")
        assert torch.equal(flat_mask(out / f"{name}_mask.safetensors"), uninterrupted)


def test_torn_lines_and_lost_masks_are_made_again(three, out):
    assert one_by_one(three, out) == 0
    whole = rows(out)
    lines = (out / "summary.jsonl").read_bytes().splitlines(keepends=True)
    (out / "summary.jsonl").write_bytes(lines[0] + lines[1] + lines[2][:40])
    with open(out / "summary.csv", "ab") as file:
        file.write(b"torn,row,\xff")
    (out / "b_mask.safetensors").unlink()
    assert one_by_one(three, out) == 0
    assert files(rows(out)) == list(NAMES)
    assert [{**row, "seconds": 0} for row in rows(out)] == [{**row, "seconds": 0} for row in whole]
    assert all((out / row["mask"]).exists() for row in rows(out))


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (("--lambda-k", 7), "lambda_k was 5.0, now 7.0"),
        (("--seed", 1), "seed was 0, now 1"),
        (("--target", 0), "asked_target was auto, now 0"),
        (("--model-args", '{"width": 6}'), "model_args was {}, now {'width': 6}"),
        (("--model-args", '{"sharpness": 2}'), "model_args was {}, now {'sharpness': 2}"),
        (("--certificate-samples", 5), "certificate_samples"),
    ],
)
def test_other_settings_are_refused_and_nothing_is_lost(three, out, capsys, other, named):
    assert one_by_one(three, out) == 0
    before = contents(out)
    assert one_by_one(three, out, *other) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert contents(out) == before
    assert one_by_one(three, out, *other, "--overwrite") == 0
    assert files(rows(out)) == list(NAMES)
    assert contents(out)[str(out / "a_mask.safetensors")] != before[str(out / "a_mask.safetensors")]


@pytest.mark.parametrize("damage", ["{torn", "[]", None])
def test_results_whose_settings_are_lost_are_not_resumed(three, out, capsys, damage):
    assert one_by_one(three, out) == 0
    (out / "settings.json").unlink() if damage is None else (out / "settings.json").write_text(damage)
    assert one_by_one(three, out) == 2
    assert "choose another folder, or overwrite it (--overwrite, overwrite=True)" in capsys.readouterr().err
    assert files(rows(out)) == list(NAMES)


def test_results_of_a_version_with_fewer_columns_are_refused_and_not_overwritten(three, out, capsys):
    assert one_by_one(three, out) == 0
    settings = json.loads((out / "settings.json").read_text())
    (out / "settings.json").write_text(json.dumps({**settings, "amortex": "0.2.0"}))
    fewer = [
        {
            key: value
            for key, value in row.items()
            if not key.startswith(("retention", "passes", "predicted", "distortion_", "cav"))
        }
        for row in rows(out)
    ]
    (out / "summary.jsonl").write_text("".join(json.dumps(row) + "\n" for row in fewer))
    before = contents(out)
    assert one_by_one(three, out) == 2
    assert f"amortex was 0.2.0, now {__version__}" in capsys.readouterr().err
    assert contents(out) == before
