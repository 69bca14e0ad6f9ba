"""A folder of results: names that do not clash, rows that are trusted, one run at a time."""

import fcntl
import json
import os
from pathlib import Path

import pytest
import torch

from amortex.explaining.folder import ResultsFolder
from amortex.io.finding import Source
from amortex.transforms.pixel import Pixel
from helpers.explaining import FAST, explain, flat_mask, rows
from helpers.photographs import photographs
from helpers.results import NAMES, files, one_by_one


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
    other = ResultsFolder(tmp_path / "out", {"method": "y"}, overwrite=True)
    assert not other.has(a)
    for settings, masks in (({"method": "x"}, 1), ({"method": "y"}, 0)):  # before the first result, and after it
        assert json.loads((tmp_path / "out" / "settings.json").read_text()) == settings
        assert len(list((tmp_path / "out").glob("*.safetensors"))) == masks
        other.add_failure(b, "no image")


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
