"""`train.py compare` on a small network, and what it writes."""

import csv
from pathlib import Path

from amortex.app import train_cli
from helpers.training import PROBLEM, QUIET

TINY = (
    *PROBLEM, *QUIET, "--trainer.logger", "false", "--data.val", "photos", "--data.val_images", "3",
    "--data.batch_size", "2", "--model.samples", "2", "--model.insertion_steps", "4", "--model.subsets", "4",
    "--model.methods", "[cartoonx,wam_sg,saliency,guided_backprop,random_pixels]",
    "--model.sanity_methods", "[wam_sg]", "--model.leakage_methods", "[wam_sg]", "--model.gallery", "1",
    "--model.sections", "[methods,leakage,sanity,scales]",
)  # fmt: skip


def compare(*arguments: str) -> int:
    return train_cli.main(["compare", *TINY, *arguments])


def table(folder: Path, name: str) -> dict[tuple[str, str], dict[str, str]]:
    with open(folder / f"{name}.csv", newline="") as file:
        return {(row["row"], row["column"]): row for row in csv.DictReader(file)}
