"""Two processes do what one does, are resumed by one, and end together when one is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from amortex.app.explain_cli import main as explain
from amortex.app.train_cli import main
from amortex.explaining.rows import read_rows
from helpers.comparing import TINY as COMPARE
from helpers.comparing import table
from helpers.explaining import TINY as EXPLAIN
from helpers.explaining import flat_mask, rows
from helpers.photographs import photographs
from helpers.training import BASE, LIGHT, ROOT, TINY, metrics, versions

DATA = (*TINY, "--data.val_images", "9", "--data.val", "../val", "--data.train", "../photos")
TWO = ("--trainer.devices", "2", "--trainer.strategy", "ddp")
CARTOONX = ("--method", "cartoonx", "--steps", "3", "--samples", "1", "--batch-size", "2", *EXPLAIN)
LAST = "runs/explainer/version_0/checkpoints/last.ckpt"


def run(*command: str, at: Path, **more: str) -> subprocess.CompletedProcess:
    """In processes of their own; returns when none of them is left, since they hold the pipes."""
    path = f"{ROOT / 'tests'}{os.pathsep}{ROOT}"
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}
    return subprocess.run(
        [sys.executable, *command], cwd=at, env=environment, capture_output=True, text=True, timeout=300
    )


def weights(file: Path) -> dict[str, torch.Tensor]:
    return torch.load(file, weights_only=True)["state_dict"]


def same_rows(found: list[dict], expected: list[dict]) -> None:
    """In the order of the inputs, with the same results to rounding."""
    assert [row["file"] for row in found] == sorted(row["file"] for row in expected)
    for row, other in zip(found, sorted(expected, key=lambda row: row["file"]), strict=True):
        assert row == pytest.approx({**other, "seconds": row["seconds"]}, abs=1e-4)


def without_explain_options(*names: str) -> list[str]:
    """The options of `explain.py` that `train.py explain` has, too."""
    options = list(CARTOONX)
    place = options.index("--device")
    return [*options[:place], *options[place + 2 :], *names]


@pytest.fixture
def sides(folder, monkeypatch):
    """Folders for the files of one process and of two, beside photographs, two of one name and one broken."""
    photographs(folder / "photos", "0.jpg")
    (folder / "photos/bad.png").write_text("no image")
    photographs(folder / "val", *(f"{number}.png" for number in range(9)))
    for number in (1, 3, 4, 7):  # of two processes the second one reads 5.png alone, in its second batch of two
        (folder / f"val/{number}.png").write_bytes(b"")
    for name in ("one", "two"):
        (folder / name).mkdir()
    monkeypatch.chdir(folder / "one")
    return folder / "one", folder / "two"


def test_two_processes_do_what_one_does(sides):
    one, two = sides
    learning = (
        "--model.objective.warm_up",
        "1",
        "--model.objective.teacher_steps",
        "2",
        "--model.refinement.steps",
        "2",
    )
    long = ("--trainer.max_steps", "4", "--trainer.val_check_interval", "2", "--summary.images", "2")

    light = ("--data.val", "../val", "--data.val_images", "9", "--model.cache", "null", "--model.gallery", "0",
             "--model.methods", "[wam_sg,saliency,random_pixels]", "--model.sections", "[methods,scales]")  # fmt: skip

    def commands(batch: int, *trainer: str) -> list[list[str]]:
        base = [*BASE, *DATA, "--data.batch_size", str(batch), *trainer]
        more = [*base, "--ckpt_path", LAST]
        by_cartoonx = without_explain_options("--out", "cartoonx", "--trainer.accelerator", "cpu", *trainer)
        return [
            ["fit", *base, *learning, *long],
            ["validate", *more],
            ["predict", *more, "--data.predict", "../photos"],
            ["explain", "../photos", "--classifier", "helpers.networks.TinyNet", *by_cartoonx],
            ["compare", *COMPARE, *light, *trainer],
        ]

    assert [main(command) for command in commands(4)] == [0, 0, 1, 1, 0]
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = run(*torchrun, str(ROOT / "tests/helpers/every_process.py"), json.dumps(commands(2, *TWO)), at=two)
    assert done.returncode == 0, done.stderr
    statuses = sorted(line for line in done.stdout.splitlines() if line.startswith("statuses"))
    assert statuses == ["statuses [0, 0, 0, 0, 0]", "statuses [0, 0, 1, 1, 0]"]

    (trained, validated, _), (trained2, validated2, _) = versions(one), versions(two)  # predict leaves one, too
    assert done.stdout.count("on 2 validation images: this explainer") == 1
    names = (
        "train/loss",
        "train/distortion",
        "train/refine_last",
        "train/gradient_norm",
        "val/objective",
        "val/rises",
        "summary/explainer",
        "summary/sensitivity",
    )
    for name in names:
        expected = metrics(trained, name)
        assert expected
        assert metrics(trained2, name) == pytest.approx(expected, abs=1e-4, rel=1e-4), name
    assert list(metrics(validated2, "val/image_count").values()) == [5]
    for name in ("val/objective", "val/curve_error", "val/retained_1"):  # five images: shares of four and one
        assert metrics(validated2, name) == pytest.approx(metrics(validated, name), abs=1e-4), name
    expected = weights(trained / "checkpoints/last.ckpt")
    for name, value in weights(trained2 / "checkpoints/last.ckpt").items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-4)
    assert len(list((trained2 / "panels").glob("*.png"))) == 2 * 4  # of the share of rank zero

    for out in ("runs/predictions", "cartoonx"):
        same_rows(rows(two / out), rows(one / out))
        names = sorted(str(file.relative_to(one)) for file in (one / out).rglob("*"))
        assert sorted(str(file.relative_to(two)) for file in (two / out).rglob("*")) == names
    assert len(rows(two / "cartoonx")) == 14
    assert sum("bad.png" in row["error"] for row in rows(two / "cartoonx")) == 1
    assert done.stderr.count("1 of 14 files could not be explained") == 2
    assert done.stderr.count("1.png: not a readable image, left out") == 3  # once in each of fit, validate, compare
    lines = [line for line in (two / "report/report.md").read_text().splitlines() if "not a readable" in line]
    assert [line[:9] for line in lines] == [f"- `{number}.png`"[:9] for number in (1, 3, 4, 7)]

    for name in ("native", "mapped", "scales"):
        expected, figures = (table(side / "report", name) for side in sides)
        assert figures.keys() == expected.keys()
        for key, row in expected.items():
            assert row["images"] == figures[key]["images"] == "5"  # none twice: five images on two processes
            if key[1] != "seconds":
                for column in ("mean", "low", "high"):
                    value = float(figures[key][column])
                    assert value == pytest.approx(float(row[column]), abs=2e-5, nan_ok=True), key


def test_a_killed_rank_ends_training_and_one_process_resumes_it(sides):
    one, two = sides
    refine = ("--model.refinement.steps", "2", "--model.refinement.only", "true", "--trainer.max_steps", "5",
              "--trainer.val_check_interval", "2", "--trainer.callbacks+=helpers.callbacks.Poison")  # fmt: skip
    base = ("fit", *LIGHT, *DATA, *refine, "--data.batch_size")
    assert main([*base, "4"]) == 0
    kill = ("--trainer.callbacks+=helpers.callbacks.KillAt", "--trainer.callbacks.rank=1", "--trainer.callbacks.step=3")
    done = run(str(ROOT / "train.py"), *base, "2", *TWO, *kill, at=two)
    assert done.returncode not in (0, None)
    assert "another process of this run has ended" in done.stderr or "terminated with code -9" in done.stderr
    os.chdir(two)
    last = Path("runs/explainer/version_0/checkpoints/last.ckpt")
    assert torch.load(last, weights_only=True)["global_step"] == 2
    assert main([*base, "4", "--ckpt_path", str(last)]) == 0
    expected = weights(one / "runs/explainer/version_0/checkpoints/last.ckpt")
    resumed = weights(versions(two)[1] / "checkpoints/last.ckpt")
    assert metrics(versions(two)[1], "train/gradient_norm").keys() == {2, 3, 4}
    norms = metrics(versions(one)[0], "train/gradient_norm")
    assert [step for step, norm in norms.items() if norm != norm] == [1]  # a step that all ranks skip
    start = weights(last)
    moved = {name for name, value in resumed.items() if not torch.equal(value, start[name])}
    assert any("refiner" in name for name in moved)
    assert not any(name.startswith("predictor.decoder.") and "refiner" not in name for name in moved)
    for name, value in resumed.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-4)


def test_a_killed_launcher_leaves_no_process_and_nothing_is_lost_or_done_twice(sides):
    one, two = sides
    network = ("--classifier", "helpers.networks.Mortal")
    assert explain(["../photos", *network, *CARTOONX, "--out", "cartoonx"]) == 1
    own = without_explain_options("--out", "cartoonx", "--trainer.accelerator", "cpu")
    command = ("explain", "../photos", *network, *own)
    done = run(str(ROOT / "train.py"), *command, *TWO, at=two, MORTAL="0", MORTAL_SHARD="cartoonx/.rows-0.jsonl")
    assert done.returncode == -signal.SIGKILL
    # a mask whose row was not written yet when the process died is made again
    written = [row["mask"] for shard in (two / "cartoonx").glob(".rows-*.jsonl") for row in read_rows(shard)]
    before = {path: path.stat().st_mtime_ns for path in (two / "cartoonx" / mask for mask in written if mask)}
    assert 2 <= len(before) < 13
    os.chdir(two)
    assert main(list(command)) == 1
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    same_rows(rows(two / "cartoonx"), rows(one / "cartoonx"))
    for row in rows(one / "cartoonx"):
        if not row["error"]:
            mask, other = (flat_mask(side / "cartoonx" / row["mask"]) for side in sides)
            torch.testing.assert_close(mask, other, rtol=0, atol=1e-3)
