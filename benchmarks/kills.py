"""Training, explaining and predicting, killed at random moments and resumed by the same commands, and what is left.

    python -m benchmarks kills --kills 200

The slow test of tests/app/test_faults.py runs it. After each kill every checkpoint, mask, picture and table must be
whole; a job that came to its end must have left what an undisturbed one leaves. Exit status: 0 if all of that holds.
"""

import argparse
import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from amortex.amortized.checkpoints import read
from amortex.app import explain_cli, train_cli

IMAGES = 6
CLOSE = 1e-4  # largest difference from the undisturbed run
LONGEST = 600.0  # seconds, of a job that is not killed
PROBLEM = {"classifier": "test_efficientnet", "weights": "random", "input_size": 64, "levels": 3, "mean": [0.5],
           "std": [0.5]}  # fmt: skip
Job = Callable[[Path], int]  # runs in a folder; returns the exit status
CONFIG = {
    "trainer": {
        "accelerator": "cpu", "max_steps": 12, "val_check_interval": 2, "check_val_every_n_epoch": None,
        "num_sanity_val_steps": 0, "log_every_n_steps": 1, "default_root_dir": "runs",
        "enable_progress_bar": False, "enable_model_summary": False,
        "logger": [{"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "runs"}}],
        "callbacks": [
            {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": {"monitor": "val/objective"}},
            {"class_path": "amortex.training.callbacks.LastCheckpoint"},
        ],
    },
    "model": {"problem": PROBLEM, "predictor": {"width": 8}, "validation_samples": 2},
    "summary": {"images": 0},
    "data": {"train": "photos", "val_images": 2, "batch_size": 2, "workers": 0, "predict": "photos"},
}  # fmt: skip


def latest(folder: Path) -> Path | None:
    """The checkpoint of most steps, of whatever version of the run."""
    checkpoints = list(folder.glob("runs/lightning_logs/*/checkpoints/last.ckpt"))
    return max(checkpoints, key=lambda path: torch.load(path, weights_only=True)["global_step"], default=None)


def fit(folder: Path) -> int:
    last = latest(folder)
    return train_cli.main(["fit", "--config", "config.yaml", *([] if last is None else ["--ckpt_path", str(last)])])


def explain(folder: Path) -> int:
    network = ("--classifier", "test_efficientnet", "--weights", "random", "--mean", "0.5", "--std", "0.5")
    method = ("--method", "cartoonx", "--steps", "10", "--samples", "2", "--levels", "3", "--certificate-samples", "8")
    return explain_cli.main(["photos", "--out", "out", "--batch-size", "2", "--input-size", "64", *network, *method])


def predict(folder: Path) -> int:
    return train_cli.main(["predict", "--config", "config.yaml", "--ckpt_path", "trained.ckpt"])


def attempt(job: Job, folder: Path, seconds: float) -> int | None:
    """Run a job in a process of its own; its exit status, or None where it was killed after so many seconds."""
    child = os.fork()  # importing torch takes longer than the job
    if child == 0:
        os.chdir(folder)
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = 99
        try:
            status = job(folder)
        finally:
            os._exit(status)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def check_files(folder: Path) -> None:
    """Raises where a file is not whole."""
    for path in folder.rglob("*.ckpt"):
        read(path)
    for path in folder.rglob("*.safetensors"):
        load_file(path)
    for path in (*folder.glob("out/*.png"), *folder.glob("runs/predictions/*.png")):
        Image.open(path).load()
    for path in folder.rglob("settings.json"):
        json.loads(path.read_text())


def outcome(folder: Path) -> dict[str, torch.Tensor]:
    """What a finished job left, as tensors by name."""
    check_files(folder)
    values: dict[str, torch.Tensor] = {}
    last = latest(folder)
    if last is not None:
        content = torch.load(last, weights_only=True)
        values = {**content["state_dict"], "step": torch.tensor(content["global_step"])}
    for table in folder.rglob("summary.jsonl"):
        rows = [json.loads(line) for line in table.read_text().splitlines()]
        assert len(rows) == len({row["file"] for row in rows}) == IMAGES, f"{len(rows)} rows"
        assert len(table.with_suffix(".csv").read_text().splitlines()) == IMAGES + 1
        assert not list(table.parent.rglob(".*")), "temporary files are left"
        for row in rows:
            values |= {f"{row['file']} {key}": value for key, value in load_file(table.parent / row["mask"]).items()}
            values[f"{row['file']} distortion"] = torch.tensor(row["distortion"])
    return values


def prepared(folder: Path, trained: Path | None = None) -> Path:
    """A folder with photographs, configuration and, to predict with, a checkpoint."""
    (folder / "photos").mkdir(parents=True)
    for index in range(IMAGES):
        pixels = np.random.default_rng(index).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((90, 80), Image.Resampling.BICUBIC).save(folder / "photos" / f"{index}.png")
    (folder / "config.yaml").write_text(json.dumps(CONFIG))  # JSON is YAML
    if trained is not None:
        (folder / "trained.ckpt").write_bytes(trained.read_bytes())
    return folder


class Trial:
    """A job that is killed again and again, beside an undisturbed run of it.

    Arguments:
        job: to run.
        folder: where its runs have folders of their own.
        trained: the checkpoint to predict with.
    """

    def __init__(self, job: Job, folder: Path, trained: Path | None) -> None:
        self.job, self.folder = job, folder
        self.trained = trained if job is predict else None
        self.kills = self.failures = self.runs = 0
        self.undisturbed = prepared(folder / job.__name__, self.trained)
        start = time.monotonic()
        status = attempt(job, self.undisturbed, LONGEST)
        assert status == 0, (self.undisturbed / "log.txt").read_text()
        self.length, self.expected = time.monotonic() - start, outcome(self.undisturbed)

    def run(self, goal: int, numbers: random.Random) -> None:
        """Kill the job `goal` times, at random moments of its length, and let the last run come to its end."""
        finished = True
        while self.kills < goal or not finished:
            if finished:
                self.runs += 1
                folder = prepared(self.folder / f"{self.job.__name__}{self.runs}", self.trained)
            status = attempt(self.job, folder, numbers.uniform(0, self.length) if self.kills < goal else LONGEST)
            finished = status is not None
            self.kills += not finished
            try:
                self.check(folder, status)
            except Exception as error:  # a broken file raises any type
                self.failures += 1
                finished = True
                print(f"{self.job.__name__}, kill {self.kills}: {error}", flush=True)
        print(f"{self.job.__name__}: {self.kills} kills of {self.length:.1f} s, {self.runs} jobs finished", flush=True)

    def check(self, folder: Path, status: int | None) -> None:
        """Raises where a file is not whole, or a finished job left something else than the undisturbed one."""
        if status is None:
            check_files(folder)
            return
        assert status == 0, f"exit status {status}"
        values = outcome(folder)
        assert values.keys() == self.expected.keys(), values.keys() ^ self.expected.keys()
        worst = max(float((values[key] - self.expected[key]).abs().max()) for key in self.expected)
        assert worst <= CLOSE, f"differs by {worst}"


def main(options: argparse.Namespace) -> int:
    numbers, trials, trained = random.Random(options.seed), list[Trial](), None
    with tempfile.TemporaryDirectory() as folder:
        for count, job in enumerate((fit, explain, predict), start=1):
            trial = Trial(job, Path(folder), trained)
            trained = trained or latest(trial.undisturbed)
            trial.run(options.kills * count // 3 - sum(earlier.kills for earlier in trials), numbers)
            trials.append(trial)
    failures = sum(trial.failures for trial in trials)
    print(f"{sum(trial.kills for trial in trials)} kills, {failures} failures")
    return int(failures > 0)
