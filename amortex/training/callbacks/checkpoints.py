"""Checkpoints: written in full or not at all, read without executing code, up to date at the end of a run."""

import glob
import io
from pathlib import Path
from typing import Any, cast

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from amortex.io.files import INCOMPLETE, relative_to_current, write_atomically


class Checkpoints(TorchCheckpointIO):
    """Writes checkpoints in full or not at all, and reads them without executing code.

    Lightning's own class is atomic only if the folder of temporary files is on the same file system.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for incomplete in path.parent.glob(INCOMPLETE.format(glob.escape(path.name), "*")):  # of a killed run
            incomplete.unlink()
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(path, buffer.getvalue())

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        return super().load_checkpoint(path, map_location, weights_only=True)


class LastCheckpoint(ModelCheckpoint):
    """Saves the latest state at each validation and at the end of training: to resume from, and to export.

    Lightning's own callback saves at the end of validations alone, and loses the steps after the last one.
    """

    def __init__(self, dirpath: str | None = None, filename: str = "last") -> None:
        super().__init__(dirpath, filename, enable_version_counter=False)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if trainer.global_step and trainer.is_global_zero:
            print(f"going on after step {trainer.global_step}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step > self._last_global_step_saved and not cast(Any, trainer).fast_dev_run:
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save a run that SIGTERM ends between two steps, and say which checkpoint is the last.

        During validation nothing is saved: a resumed run would leave the validation out. Nor is anything saved with
        several processes, where one could wait for others that are gone.
        """
        super().on_exception(trainer, pl_module, exception)
        between_steps = trainer.training and not trainer.fit_loop._should_accumulate()
        if isinstance(exception, SIGTERMException) and between_steps and trainer.world_size == 1:
            self.on_train_end(trainer, pl_module)
        if self.best_model_path and trainer.is_global_zero:
            step = self._last_global_step_saved  # by this run: a resumed one may have saved none yet
            print(
                f"\nthe last checkpoint{f', of step {step}' * bool(step)}: {relative_to_current(self.best_model_path)}"
            )
