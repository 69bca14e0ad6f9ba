"""The W&B run of this process, if there is one."""

import os
import sys

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger


def take_off_if_disabled(trainer: Trainer) -> None:
    """Take W&B's loggers off a trainer where ``WANDB_MODE=disabled`` asks for no run.

    Lightning's offline logger would overwrite the variable.
    """
    if os.environ.get("WANDB_MODE") == "disabled":
        trainer.loggers = [logger for logger in trainer.loggers if not isinstance(logger, WandbLogger)]


def finish() -> None:
    """Close the W&B run, if there is one, so that all of it is on disk."""
    wandb = sys.modules.get("wandb")  # where nothing has imported it, there is no run
    if wandb is not None and wandb.run is not None:
        wandb.finish()
