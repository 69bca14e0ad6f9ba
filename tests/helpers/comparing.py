"""`train.py compare` on a small network, and what it writes."""

import csv
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from amortex.app import train_cli
from helpers.training import PROBLEM, QUIET

TINY = (
    *PROBLEM, *QUIET, "--trainer.logger", "false", "--data.val", "photos", "--data.val_images", "3",
    "--data.batch_size", "2", "--model.samples", "2", "--model.insertion_steps", "4", "--model.subsets", "4",
    "--model.methods", "[cartoonx,wam_sg,saliency,guided_backprop,random_pixels]",
    "--model.sanity_methods", "[wam_sg]", "--model.leakage_methods", "[wam_sg]", "--model.gallery", "1",
    "--model.sections", "[methods,leakage,sanity,scales]",
)  # fmt: skip

OF_SIGNALS = (
    *QUIET, "--trainer.logger", "false", "--data.val_images", "3", "--data.batch_size", "2", "--model.samples", "2",
    "--model.insertion_steps", "4", "--model.subsets", "4", "--model.gallery", "1", "--model.problem.levels", "2",
    "--model.problem.classifier", "helpers.networks.AnyAxes", "--model.problem.mean", "[0.5]",
    "--model.problem.std", "[0.5]", "--model.preset", "fast",
)  # fmt: skip


def compare_signals(folder: Path, size: list[int], *arguments: str) -> int:
    """Compare explainers of a linear classifier of signals ``(C, *size)``; the exit status."""
    shape = ("--data.val", str(folder), "--model.problem.input_size", str(size),
             "--model.problem.model_args", f"{{size: {size}}}")  # fmt: skip
    return train_cli.main(["compare", *OF_SIGNALS, *shape, *arguments])


def write_tones(folder: Path, count: int = 3, length: int = 400) -> Path:
    """Sounds of different pitches, which a linear classifier takes for different classes."""
    folder.mkdir(parents=True)
    for number in range(count):
        tone = 0.6 * np.sin(np.arange(length) * (0.1 + 0.4 * number)) * np.linspace(1, 0.3, length)
        wavfile.write(folder / f"{number}.wav", 16000, tone.astype(np.float32))
    return folder


def write_blobs(folder: Path, count: int = 3, side: int = 8) -> Path:
    """Volumes with a bright block each, at different places."""
    folder.mkdir(parents=True)
    for number in range(count):
        volume = np.full((side, side, side), 0.1, np.float32)
        volume[number : number + 4, 2:5, 1 + number : 5] = 0.9
        np.save(folder / f"{number}.npy", volume)
    return folder


def compare(*arguments: str) -> int:
    return train_cli.main(["compare", *TINY, *arguments])


def table(folder: Path, name: str) -> dict[tuple[str, str], dict[str, str]]:
    with open(folder / f"{name}.csv", newline="") as file:
        return {(row["row"], row["column"]): row for row in csv.DictReader(file)}
