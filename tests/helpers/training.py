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
    "--trainer.log_every_n_steps", "1", "--trainer.enable_model_summary", "false", "--summary.images", "0",
)  # fmt: skip
BASE = ("--config", str(ROOT / "configs/base.yaml"))
LIGHT = (*BASE, "--config", str(Path(__file__).with_name("light.yaml")))  # without panels and W&B


def fit(
    *arguments: object, steps: int = 6, every: int = 3, panels: bool = False, model: dict[str, object] | None = None
) -> int:
    """`train.py fit` on photographs in the current folder; its exit status.

    Arguments:
        arguments: more of the command line.
        steps: of training.
        every: how many steps are between validations.
        panels: with panels and W&B, as `configs/base.yaml` has it.
        model: settings of the model by their names on the command line, without ``model.``.
    """
    options = [value for key, setting in (model or {}).items() for value in (f"--model.{key}", setting)]
    data = ("--data.train", "photos", "--data.val_images", 4)
    trainer = ("--trainer.max_steps", steps, "--trainer.val_check_interval", every)
    command = ["fit", *(BASE if panels else LIGHT), *TINY, *data, *trainer, *options, *arguments]
    return train_cli.main([str(text) for text in command])


def export(*arguments: object) -> int:
    """`train.py export`; its exit status."""
    return train_cli.main(["export", *map(str, arguments)])


def last_checkpoint(run: Path) -> Path:
    return run / "checkpoints/last.ckpt"


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
