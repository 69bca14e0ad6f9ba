"""The W&B run of this process, if there is one."""

import os
import sys

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger

HIDDEN = ("WANDB_SHOW_INFO", "WANDB_SHOW_WARNINGS")


def take_off_if_disabled(trainer: Trainer) -> None:
    """Take W&B's loggers off a trainer where ``WANDB_MODE=disabled`` asks for no run.

    Lightning's offline logger would overwrite the variable.
    """
    if os.environ.get("WANDB_MODE") == "disabled":
        trainer.loggers = [logger for logger in trainer.loggers if not isinstance(logger, WandbLogger)]


def quieten_offline(trainer: Trainer) -> None:
    """Let W&B print errors alone where all its loggers are offline, which nobody has asked for: it is the default.

    ``WANDB_SHOW_INFO=true`` and ``WANDB_SHOW_WARNINGS=true`` bring its other lines back.
    """
    loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
    if loggers and all(logger._offline for logger in loggers):
        for name in HIDDEN:  # W&B reads them when its run starts
            os.environ.setdefault(name, "false")


def finish() -> None:
    """Close the W&B run, if there is one, so that all of it is on disk."""
    wandb = sys.modules.get("wandb")  # where nothing has imported it, there is no run
    if wandb is not None and wandb.run is not None:
        wandb.finish()
