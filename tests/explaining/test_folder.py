"""A folder of results: resumed after interruptions, never mixed, never half-written."""

import fcntl
import json
import os
from pathlib import Path

import pytest
import torch

from amortex.app import train_cli
from amortex.core.version import __version__
from amortex.explaining import folder, results, writer
from amortex.explaining.folder import ResultsFolder
from amortex.io.images import Source
from amortex.transforms.pixel import Pixel
from helpers.explaining import FAST, explain, flat_mask, rows
from helpers.photographs import photographs

NAMES = ("a.png", "b.png", "c.png")


@pytest.fixture
def three(tmp_path) -> Path:
    return photographs(tmp_path / "in", *NAMES)


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


def one_by_one(inputs: Path, out: Path, *more: object) -> int:
    return explain(inputs, "--out", out, "--batch-size", 1, *FAST, *more)


def contents(out: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def files(rows: list[dict]) -> list[str]:
    return [Path(row["file"]).name for row in rows]


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
        (("--lambda-k", 7), "explainer_lambda_k was 5.0, now 7.0"),
        (("--seed", 1), "explainer_seed was 0, now 1"),
        (("--target", 0), "asked_target was auto, now 0"),
        (("--model-args", '{"width": 6}'), "classifier_weights"),
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
    assert "choose another folder, or overwrite it (--out, --overwrite)" in capsys.readouterr().err
    assert files(rows(out)) == list(NAMES)


def test_results_of_a_version_with_fewer_columns_are_refused_and_not_overwritten(three, out, capsys):
    assert one_by_one(three, out) == 0
    settings = json.loads((out / "settings.json").read_text())
    (out / "settings.json").write_text(json.dumps({**settings, "amortex": "0.2.0"}))
    fewer = [
        {key: value for key, value in row.items() if not key.startswith(("retention", "cav"))} for row in rows(out)
    ]
    (out / "summary.jsonl").write_text("".join(json.dumps(row) + "\n" for row in fewer))
    before = contents(out)
    assert one_by_one(three, out) == 2
    assert f"amortex was 0.2.0, now {__version__}" in capsys.readouterr().err
    assert contents(out) == before


def test_overwriting_leaves_nothing_of_before(three, out):
    assert one_by_one(three, out) == 0
    (out / "a_panel.png").write_text("of an earlier run")
    (out / "mine.txt").write_text("not a result")
    assert one_by_one(three / "b.png", out, "--overwrite") == 0
    names = {"b_explanation.png", "b_mask.safetensors", "mine.txt", "settings.json", "summary.csv", "summary.jsonl"}
    assert {path.name for path in out.iterdir()} == names


def test_files_of_one_name_do_not_overwrite_each_other(tmp_path, out):
    photographs(tmp_path / "in", "x/cat.png", "y/cat.png", "y/cat.jpg")
    inputs = (tmp_path / "in" / "x" / "cat.png", tmp_path / "in" / "y")
    for _ in range(2):  # the second time resumes
        assert explain(*inputs, "--out", out, *FAST) == 0
        assert len({row["mask"] for row in rows(out)}) == len({row["file"] for row in rows(out)}) == 3
        assert len(list(out.glob("cat*_explanation.png"))) == 3
        for row in rows(out):
            assert float(flat_mask(out / row["mask"]).mean()) == pytest.approx(row["rate"], abs=1e-5)
    assert (out / "cat_mask.safetensors").exists()
    photographs(tmp_path / "in", "z/cat.png")
    assert explain(*inputs, tmp_path / "in" / "z", "--out", out, *FAST) == 0
    assert len(list(out.glob("cat*_explanation.png"))) == 4


def test_names_that_are_long_or_no_text(tmp_path, out):
    photographs(tmp_path / "in", "x" * 240 + ".png", "é" * 110 + ".png", "good.png")
    os.rename(tmp_path / "in" / "good.png", os.fsencode(tmp_path / "in") + b"/caf\xe9.png")
    (tmp_path / "in" / os.fsdecode(b"bad\xff.png")).touch()
    for _ in range(2):
        assert explain(tmp_path / "in", "--out", out, *FAST) == 1
        assert sorted(row["error"] == "" for row in rows(out)) == [False, True, True, True]
        assert all((out / row["mask"]).exists() for row in rows(out) if not row["error"])


def test_rows_know_what_is_done(tmp_path):
    layout = Pixel().layout((2, 2))
    arguments = ({"rate": 0.5}, layout, {"mask": torch.full((4,), 0.5)}, {"_explanation.png": b"a picture"})
    a, b = (Source(tmp_path / name, Path(name)) for name in ("a.png", "b.png"))
    first = ResultsFolder(tmp_path / "out", {"method": "x"})
    first.add(a, *arguments)
    first.add_failure(b, "two\nlines")
    assert first.has(a)
    assert (tmp_path / "out" / "a.png_explanation.png").read_bytes() == b"a picture"
    assert [row["error"] for row in rows(tmp_path / "out")] == ["", "two lines"]
    again = ResultsFolder(tmp_path / "out", {"method": "x"})
    assert again.has(a)
    assert not again.has(b)  # what failed is tried again
    assert files(rows(tmp_path / "out")) == ["a.png"]
    assert not ResultsFolder(tmp_path / "out", {"method": "y"}, overwrite=True).has(a)
    assert json.loads((tmp_path / "out" / "settings.json").read_text()) == {"method": "y"}


@pytest.mark.parametrize("mask", ["../victim_mask.safetensors", "../victim.txt", "victim.txt", 5, None])
def test_rows_that_name_other_files_are_not_trusted(three, out, mask):
    assert one_by_one(three, out) == 0
    victims = [out.parent / "victim_mask.safetensors", out.parent / "victim.txt", out / "victim.txt"]
    for victim in victims:
        victim.write_text("not ours")
    lines = (out / "summary.jsonl").read_text().splitlines()
    row = {**json.loads(lines[0]), "mask": mask}
    (out / "summary.jsonl").write_text("\n".join([json.dumps(row), *lines[1:]]) + "\n")
    assert one_by_one(three, out, "--overwrite") == 0
    assert all(victim.exists() for victim in victims)


def test_two_runs_do_not_write_into_one_folder(three, out, capsys):
    out.mkdir()
    place = os.open(out, os.O_RDONLY)
    fcntl.flock(place, fcntl.LOCK_EX)  # as another process has it
    assert one_by_one(three, out) == 2
    told = capsys.readouterr().err
    assert told == f"explain.py: another run is writing to {out}: wait for it, or choose another folder (--out)\n"
    assert not list(out.iterdir())
    os.close(place)
    assert one_by_one(three, out) == 0


def test_rows_that_make_no_sense_are_left_out(three, out):
    assert one_by_one(three, out) == 0
    with open(out / "summary.jsonl", "a") as file:
        for line in ("9" * 5000, "[" * 100_000, json.dumps({**rows(out)[0], "file": ["x"]}),
                     json.dumps({"file": "x.png", "mask": rows(out)[0]["mask"], "error": ""})):  # fmt: skip
            file.write(line + "\n")
    assert one_by_one(three, out) == 0
    assert files(rows(out)) == list(NAMES)
