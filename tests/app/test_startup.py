"""Help and mistakes are answered before torch is imported."""

import os
import subprocess
import sys

import pytest

from amortex.core import process
from amortex.core.process import SHORT_WAITS, shorten_waits

HEAVY = ("torch", "timm", "numpy", "lightning", "matplotlib", "wandb")
CODE = """
import sys
from amortex.app.{module} import main
try:
    status = main(sys.argv[1:])
except SystemExit as error:
    status = error.code
print("imported:", *(name for name in {heavy} if name in sys.modules))
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("module", "arguments", "status", "answer"),
    [
        ("explain_cli", ["--help"], 0, "usage: explain.py"),
        ("explain_cli", ["--lamda-k", "5"], 2, "did you mean --lambda-k?"),
        ("explain_cli", ["--method", "cartonx"], 2, "did you mean cartoonx?"),
        ("explain_cli", ["nowhere.png"], 2, "nowhere.png: no such file or folder"),
        ("explain_cli", ["--explainer", "nowhere.ckpt"], 2, "--explainer nowhere.ckpt: no such file or folder"),
        ("explain_cli", ["--method", "wam", "--lambda-k", "5"], 2, "wam has no --lambda-k"),
        ("train_cli", ["--help"], 0, "usage: train.py COMMAND"),
        ("train_cli", [], 2, "give a command: one of fit, "),
        ("train_cli", ["fti"], 2, "did you mean fit?"),
        ("train_cli", ["explain", "--help"], 0, "--lambda-k"),
        ("train_cli", ["pack", "--help"], 0, "usage: train.py pack"),
        ("train_cli", ["export", "nowhere.ckpt", "out"], 2, "nowhere.ckpt: no such checkpoint"),
    ],
)
def test_help_and_mistakes_import_nothing_heavy(module, arguments, status, answer, tmp_path):
    code = CODE.format(module=module, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert answer in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "imported:"


def test_waits_are_short_unless_the_user_has_chosen_otherwise(monkeypatch):
    for name in SHORT_WAITS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    shorten_waits()
    assert [os.environ.get(name) for name in SHORT_WAITS] == ["ACTIVE", None, None]
    monkeypatch.delenv("OMP_WAIT_POLICY")
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", dict(os.environ))
        shorten_waits()
        assert {name: os.environ[name] for name in SHORT_WAITS} == SHORT_WAITS


@pytest.mark.parametrize(("busy", "threads"), [(0.2, None), (0.9, "3"), (2.2, "2"), (7.9, "1")])
def test_training_leaves_cores_that_are_busy_to_others(busy, threads, monkeypatch, capsys):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(process, "busy_cores", lambda: busy)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(4), raising=False)
    process.leave_busy_cores()
    assert os.environ.get("OMP_NUM_THREADS") == threads
    assert ("cores busy" in capsys.readouterr().err) == (threads is not None)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    process.leave_busy_cores()
    assert os.environ["OMP_NUM_THREADS"] == "5"


def test_busy_cores_are_those_of_the_system(monkeypatch):
    samples = iter([[100, 0, 50, 1000, 50, 0, 0, 0], [150, 0, 50, 1040, 60, 0, 0, 0]])  # half of the time was idle
    monkeypatch.setattr(process, "_cpu_times", lambda: next(samples))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert process.busy_cores(0.0) == pytest.approx(2.0)
    monkeypatch.setattr(process, "_cpu_times", list)
    assert process.busy_cores(0.0) == 0.0
