"""`explain.py` without inputs, and what it says where another than the bundled explainer explains."""

import subprocess
import sys

import pytest

from amortex.app.explain_cli import main
from helpers.explaining import FAST, rows
from helpers.training import ROOT


@pytest.mark.parametrize("method", ["amortized", "cartoonx"])
def test_the_bundled_photographs_are_explained_from_any_folder(method, tmp_path, monkeypatch, capsys):
    options = ["--input-size", "64", "--certificate-samples", "2", "--device", "cpu", "--no-panels"]
    if method == "amortized":  # the default, by the script
        command = [sys.executable, ROOT / "explain.py", *options]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        printed = run.stdout
    else:
        monkeypatch.chdir(tmp_path)
        assert main([*options, "--method", method, *FAST]) == 0
        printed = capsys.readouterr().out
    explained = rows(tmp_path / "explanations" / method)
    lost = method == "amortized" and not all(row["retained"] for row in explained)  # which a last line says
    assert printed.splitlines()[-1 - lost] == f"2 explained: explanations/{method}"
    assert [row["file"] for row in explained] == ["chelsea.png", "coffee.png"]


def test_why_the_bundled_explainer_does_not_explain_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["--input-size", "64", "--certificate-samples", "2", "--device", "cpu", "--no-panels"]
    assert main([*small, "--distortion", "l2", *FAST]) == 0
    reason = "the bundled explainer was not trained for --distortion: cartoonx takes 3 steps instead"
    assert capsys.readouterr().out.splitlines()[1] == reason
