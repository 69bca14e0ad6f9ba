"""The curves of the objective: from end to end, going on where they stopped, and of the bundled explainer."""

import csv

import pytest

from benchmarks import convergence
from benchmarks.__main__ import main
from helpers.photographs import photographs


def test_convergence_from_end_to_end(tmp_path, capsys):
    folder = photographs(tmp_path / "in", "a.png", "b.png", "c.png")
    options = ("--images", "2", "--size", "64", "--presets", "fast:steps=4", "--lambda-k", "5", "--points", "2")
    assert main(["convergence", str(folder), *options, "--samples", "2", "--out", str(tmp_path / "out")]) == 0
    with open(tmp_path / "out/convergence.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["steps"], row["passes"]) for row in rows] == [("2", "12"), ("4", "24")]  # 3 passes for each of 2 draws
    for row in rows:
        assert float(row["J"]) == pytest.approx(float(row["distortion"]) + 5 * float(row["rate"]))
        assert len(row["J_per_image"].split()) == 2
        assert float(row["J_low"]) <= float(row["J"]) <= float(row["J_high"])
    assert (tmp_path / "out/convergence.png").stat().st_size > 0
    assert f"| fast, steps=4 | 5 | 24 | {float(rows[-1]['J']):.4f} [" in capsys.readouterr().out


def test_convergence_on_volumes_goes_on_where_it_stopped(tmp_path, capsys, monkeypatch):
    options = ["convergence", "--modality", "volume", "--images", "2", "--lambda-k", "5", "--points", "1"]
    options += ["--samples", "2", "--out", str(tmp_path), "--presets", "fast:steps=1"]
    assert main(options) == 0
    first = (tmp_path / "convergence.csv").read_text()
    monkeypatch.setattr(convergence.RDE, "explain", lambda self, *_, **__: pytest.fail(f"{self} was repeated"))
    assert main(options) == 0
    assert (tmp_path / "convergence.csv").read_text() == first
    assert "| fast, steps=1 | 5 | 6 |" in capsys.readouterr().out
    assert main([*options, "--samples", "3"]) == 2
    assert "choose another folder" in capsys.readouterr().err


def test_convergence_of_the_bundled_explainer_alone(tmp_path, capsys, monkeypatch):
    folder = photographs(tmp_path / "in", "a.png", "b.png")
    options = ("--images", "2", "--size", "64", "--presets", "--passes", "4", "16", "--lambda-k", "5", "--samples", "2")
    assert main(["convergence", str(folder), *options, "--out", str(tmp_path / "out")]) == 0
    with open(tmp_path / "out/convergence.csv", newline="") as file:
        assert [(row["preset"], row["passes"]) for row in csv.DictReader(file)] == [
            ("amortized", "4"), ("amortized", "16"),
        ]  # fmt: skip
    monkeypatch.setattr(convergence, "file_digest", lambda content: "of the next release")
    assert main(["convergence", str(folder), *options, "--out", str(tmp_path / "out")]) == 2
    assert "choose another folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("presets", "why"), [("slow", "fast"), ("fast:pace=2", "fast:steps=400"), ("fast:steps=few", "few")]
)
def test_unknown_presets_get_one_line(tmp_path, capsys, presets, why):
    assert main(["convergence", str(tmp_path), "--presets", presets]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m benchmarks convergence: --presets takes")
    assert why in line
