"""The W&B run of this process."""

import sys


def finish() -> None:
    """Close the W&B run, if there is one, so that all of it is on disk."""
    wandb = sys.modules.get("wandb")  # where nothing has imported it, there is no run
    if wandb is not None and wandb.run is not None:
        wandb.finish()
