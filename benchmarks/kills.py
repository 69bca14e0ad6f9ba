"""Kill training, explaining and predicting at random moments, go on with the same command, and look at what is left.

    python benchmarks/kills.py --kills 200

After each kill every checkpoint, mask, picture and table must be whole; a job that came to its end must have left what
an undisturbed one leaves. Exit status: 0 if all of that holds.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from amortex.amortized.checkpoints import read
from amortex.app import explain_cli as cli
from amortex.app import train_cli

IMAGES = 6
CLOSE = 1e-4  # largest difference from the undisturbed run
MODEL = {"classifier": "test_efficientnet", "weights": "random", "input_size": 64, "levels": 3, "width": 8,
         "validation_samples": 2, "mean": [0.5], "std": [0.5]}  # fmt: skip
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
    "model": MODEL,
    "data": {"train": "photos", "val_images": 2, "batch_size": 2, "workers": 0, "predict": "photos"},
}  # fmt: skip


def latest(folder: Path) -> Path | None:
    """The checkpoint of most steps, of whatever version of the run."""
    found = list(folder.glob("runs/lightning_logs/*/checkpoints/last.ckpt"))
    return max(found, key=lambda path: torch.load(path, weights_only=True)["global_step"], default=None)


def fit(folder: Path) -> int:
    last = latest(folder)
    return train_cli.main(["fit", "--config", "config.yaml", *([] if last is None else ["--ckpt_path", str(last)])])


def explain(folder: Path) -> int:
    network = ("--classifier", "test_efficientnet", "--weights", "random", "--mean", "0.5", "--std", "0.5")
    how = ("--method", "cartoonx", "--steps", "10", "--samples", "2", "--levels", "3", "--certificate-samples", "8")
    return cli.main(["photos", "--out", "out", "--batch-size", "2", "--input-size", "64", *network, *how])


def predict(folder: Path) -> int:
    return train_cli.main(["predict", "--config", "config.yaml", "--ckpt_path", "trained.ckpt"])


def attempt(job: Callable[[Path], int], folder: Path, seconds: float) -> int | None:
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
    found: dict[str, torch.Tensor] = {}
    last = latest(folder)
    if last is not None:
        content = torch.load(last, weights_only=True)
        found = {**content["state_dict"], "step": torch.tensor(content["global_step"])}
    for table in folder.rglob("summary.jsonl"):
        rows = [json.loads(line) for line in table.read_text().splitlines()]
        assert len(rows) == len({row["file"] for row in rows}) == IMAGES, f"{len(rows)} rows"
        assert len(table.with_suffix(".csv").read_text().splitlines()) == IMAGES + 1
        assert not list(table.parent.rglob(".*")), "temporary files are left"
        for row in rows:
            found |= {f"{row['file']} {key}": value for key, value in load_file(table.parent / row["mask"]).items()}
            found[f"{row['file']} distortion"] = torch.tensor(row["distortion"])
    return found


def prepared(folder: Path, trained: Path | None = None) -> Path:
    """A folder with photographs, configuration and, to predict with, a checkpoint."""
    (folder / "photos").mkdir(parents=True)
    for index in range(IMAGES):
        pixels = np.random.default_rng(index).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((90, 80), Image.Resampling.BICUBIC).save(folder / "photos" / f"{index}.png")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    if trained is not None:
        (folder / "trained.ckpt").write_bytes(trained.read_bytes())
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="shared out among the jobs; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, failures, killed, trained = random.Random(options.seed), 0, 0, None
    with tempfile.TemporaryDirectory() as temporary:
        for number, job in enumerate((fit, explain, predict)):
            whole = prepared(Path(temporary, job.__name__), trained)
            start = time.monotonic()
            assert attempt(job, whole, 600) == 0, (whole / "log.txt").read_text()
            length, expected = time.monotonic() - start, outcome(whole)
            trained = trained or latest(whole)
            goal, finished, kills, runs = (options.kills * (number + 1)) // 3 - killed, True, 0, 0
            while kills < goal or not finished:
                if finished:
                    runs += 1
                    folder = prepared(Path(temporary, f"{job.__name__}{runs}"), trained if job is predict else None)
                status = attempt(job, folder, rng.uniform(0, length) if kills < goal else 600)
                finished, kills = status is not None, kills + (status is None)
                try:
                    check_files(folder)
                    if finished:
                        assert status == 0, f"exit status {status}"
                        found = outcome(folder)
                        assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
                        worst = max(float((found[key] - expected[key]).abs().max()) for key in expected)
                        assert worst <= CLOSE, f"differs by {worst}"
                except Exception as error:  # whatever a broken file raises
                    failures += 1
                    print(f"{job.__name__}, kill {kills}: {error}", flush=True)
                    finished = True
            killed += kills
            print(f"{job.__name__}: {kills} kills of {length:.1f} s, {runs} jobs finished", flush=True)
    print(f"{killed} kills, {failures} failures")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
