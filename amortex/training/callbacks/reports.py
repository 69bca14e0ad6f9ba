"""Reports of comparisons, in W&B."""

import csv
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger


class ReportLogger(Callback):
    """Logs a comparison's report to W&B where it is on: its pictures, and its tables as in the CSV files."""

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        if not loggers or not trainer.is_global_zero:
            return
        import wandb  # takes a second: only where a run logs to it

        folder = Path(cast(Any, pl_module).folder)
        logged: dict[str, Any] = {}
        for path in (*sorted(folder.glob("*.png")), *sorted(folder.glob("gallery/**/*.png"))):
            logged[f"report/{path.relative_to(folder).with_suffix('')}"] = wandb.Image(str(path))
        for path in sorted(folder.glob("*.csv")):
            with open(path, newline="", encoding="utf-8") as file:
                columns, *rows = csv.reader(file)
            logged[f"report/{path.stem}_table"] = wandb.Table(columns=list(columns), data=list(map(list, rows)))
        for logger in loggers:
            logger.experiment.log(logged)
