"""`train.py` on a small network, and what it writes."""

import csv
from pathlib import Path

from amortex.app import train_cli

ROOT = Path(__file__).parents[2]
PROBLEM = (
    "--model.problem.classifier", "helpers.networks.TinyNet", "--model.problem.input_size", "32",
    "--model.problem.mean", "[0.5]", "--model.problem.std", "[0.5]", "--model.problem.levels", "2",
)  # fmt: skip
QUIET = ("--data.workers", "0", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false")
TINY = (
    *PROBLEM, *QUIET, "--model.validation_samples", "2", "--model.predictor.width", "8", "--data.batch_size", "4",
    "--trainer.log_every_n_steps", "1", "--trainer.enable_model_summary", "false",
)  # fmt: skip


def fit(*arguments: object, steps: int = 6, every: int = 3) -> int:
    return train_cli.main(
        ["fit", "--config", str(ROOT / "configs/base.yaml"), *TINY, "--data.train", "photos", "--data.val_images", "4",
         "--trainer.max_steps", str(steps), "--trainer.val_check_interval", str(every), *map(str, arguments)]
    )  # fmt: skip


def told(capsys) -> str:
    """The one line that `train.py` printed."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train.py: ")]
    (line,) = (line for line in lines if "from now on" not in line)
    return line


def metrics(run: Path, name: str) -> dict[int, float]:
    with open(run / "metrics.csv", newline="") as file:
        return {int(row["step"]): float(row[name]) for row in csv.DictReader(file) if row.get(name)}


def versions(folder: Path) -> list[Path]:
    return sorted((folder / "runs/explainer").iterdir(), key=lambda path: int(path.name.split("_")[1]))
