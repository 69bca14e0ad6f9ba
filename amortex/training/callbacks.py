"""What a run leaves: checkpoints, pictures, a table of images, histograms. The only user of wandb."""

import csv
import glob
import io
from pathlib import Path
from typing import Any, cast

import torch
import wandb
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from PIL import Image
from torch import Tensor

from amortex.amortized.predictor import Prediction
from amortex.core.errors import InputError
from amortex.explainers.base import Explanation, picture
from amortex.explaining.plots import panel, png, training_curve
from amortex.io.files import INCOMPLETE, write_atomically
from amortex.training.module import AmortizedTrainingModule

COLUMNS = ("name", "class", "probability", "rate", "distortion", "retained")


class Checkpoints(TorchCheckpointIO):
    """Writes checkpoints in full or not at all, and reads them without executing code.

    Lightning's own way is atomic only where the folder of temporary files is on the same file system.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(INCOMPLETE.format(glob.escape(path.name), "*")):  # of a run that was killed
            left.unlink()
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(path, buffer.getvalue())

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        return super().load_checkpoint(path, map_location, weights_only=True)


def relative(path: str) -> str:
    """As seen from the current folder, if it lies there."""
    return str(Path(path).relative_to(Path.cwd())) if Path(path).is_relative_to(Path.cwd()) else path


class LastCheckpoint(ModelCheckpoint):
    """What to resume from and to export: the latest state, as of each validation and of the end of training.

    Lightning's own callback saves where a validation ends; the steps after the last one would be lost.
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
        """Save a run that SIGTERM ends between two steps: not amid validation, which resuming would leave out.

        Of several processes, one might wait for the others.
        """
        super().on_exception(trainer, pl_module, exception)
        between = trainer.training and not trainer.fit_loop._should_accumulate()
        if isinstance(exception, SIGTERMException) and between and trainer.world_size == 1:
            self.on_train_end(trainer, pl_module)
        if self.best_model_path and trainer.is_global_zero:
            step = self._last_global_step_saved  # of this run: one that goes on may have saved none yet
            print(f"\nthe last checkpoint{f', of step {step}' * bool(step)}: {relative(self.best_model_path)}")


class PanelLogger(Callback):
    """Panels of the first validation images, a table of all and histograms of mask values per scale, each validation.

    With several devices, the images are those of the first one.
    Panels are written to ``panels/`` beside the CSV logger's metrics, with a plot of the objective, ``curve.png``;
    panels, table and histograms go to W&B, where that is on.

    Arguments:
        images: number of panels.
        lambda_k: sparsity weight whose masks are shown; one of those that the module validates.
    """

    def __init__(self, images: int = 4, lambda_k: float = 2.5) -> None:
        self.images, self.lambda_k = images, lambda_k
        self.history: list[dict[str, float]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        known = cast(AmortizedTrainingModule, pl_module).lambda_k
        if self.lambda_k not in known:
            raise InputError(f"the panels show lambda_k {self.lambda_k:g}, which is not validated: {known}")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.panels: dict[str, bytes] = {}
        self.rows: list[tuple[Any, ...]] = []
        self.values: list[Tensor] = []
        self.level = torch.empty(0)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        if not trainer.is_global_zero:
            return
        prediction: Prediction = outputs["prediction"]
        measured: dict[str, Tensor] = outputs["measured"]
        encoded, key = prediction.encoded, f"{self.lambda_k:g}"
        mask = prediction.mask(measured[f"val/rate_{key}"]).cpu()
        self.level = encoded.layout.level.cpu()
        module = cast(AmortizedTrainingModule, pl_module)
        classifier = module.predictor.rate_distortion.classifier
        names = batch.get("name") or [f"image {int(index)}" for index in batch["index"]]
        probability = encoded.probabilities.gather(1, encoded.target[:, None])[:, 0]
        columns = (probability, *(measured[f"val/{kind}_{key}"] for kind in ("rate", "distortion", "retained")))
        for index, numbers in enumerate(torch.stack([c.float() for c in columns], 1).tolist()):
            name = f"{len(self.rows):02d}_{Path(names[index]).stem}"  # names need not be unique
            label = classifier.class_name(int(encoded.target[index]))
            self.rows.append((name, label, *numbers[:3], bool(numbers[3])))
            if len(self.values) < self.images:
                self.panels[name] = self._panel(module, prediction, mask, index, self.rows[-1])
                self.values.append(mask[index])

    def _panel(
        self, module: AmortizedTrainingModule, prediction: Prediction, mask: Tensor, index: int, row: tuple[Any, ...]
    ) -> bytes:
        one = prediction.encoded.of(slice(index, index + 1))
        own = mask[index : index + 1].to(one.image.device)
        shown = picture(module.predictor.rate_distortion, Explanation(one, own, own))[0]
        _, label, probability, rate, distortion, retained = row
        title = [
            f"{label}  ({probability:.1%})",
            f"amortized, step {module.global_step}, $\\lambda k$ = {self.lambda_k:g}    rate {rate:.2%}    "
            f"distortion {distortion:.3f}    class {'' if retained else 'not '}retained",
        ]
        return png(panel(one.image[0].cpu(), shown.cpu(), mask[index], mask[index], prediction.encoded.layout, title))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        step = pl_module.global_step
        for logger in trainer.loggers:
            if isinstance(logger, CSVLogger):
                folder = Path(logger.log_dir, "panels")
                folder.mkdir(parents=True, exist_ok=True)
                for name, content in self.panels.items():
                    write_atomically(folder / f"{name}_{step:06d}.png", content)
            elif isinstance(logger, WandbLogger):
                self._to_wandb(logger, step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        row = {"step": float(pl_module.global_step)}
        for value in cast(AmortizedTrainingModule, pl_module).lambda_k:
            row[f"{value:g}"] = trainer.callback_metrics[f"val/best_objective_{value:g}"].item()
            row[f"predicted {value:g}"] = trainer.callback_metrics[f"val/objective_{value:g}"].item()
            if f"val/refined_{value:g}" in trainer.callback_metrics:
                row[f"refined {value:g}"] = trainer.callback_metrics[f"val/refined_{value:g}"].item()
        self.history.append(row)
        for logger in trainer.loggers:
            if isinstance(logger, CSVLogger):
                write_atomically(Path(logger.log_dir, "curve.png"), png(training_curve(self.history)))

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = state_dict["history"]

    def _to_wandb(self, logger: WandbLogger, step: int) -> None:
        pictures = [wandb.Image(Image.open(io.BytesIO(content)), caption=name) for name, content in self.panels.items()]
        logged: dict[str, Any] = {
            "val/panels": pictures,
            "val/images": wandb.Table(columns=list(COLUMNS), data=[list(row) for row in self.rows]),
            "trainer/global_step": step,
        }
        masks = [mask for mask in self.values if mask.isfinite().all()]  # no histogram takes what is not
        for level in self.level.unique().tolist() if masks else ():
            name = "low" if level == 0 else f"level{level}"
            values = torch.stack(masks)[:, self.level == level]
            logged[f"val/mask_values/{name}"] = wandb.Histogram(values.flatten().tolist())
        logger.experiment.log(logged)


class ReportLogger(Callback):
    """Logs a comparison's report to W&B, where that is on: its pictures, and its tables as in the CSV files."""

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder = Path(cast(Any, pl_module).folder)
        for logger in trainer.loggers if trainer.is_global_zero else ():
            if isinstance(logger, WandbLogger):
                logged: dict[str, Any] = {}
                for path in (*sorted(folder.glob("*.png")), *sorted(folder.glob("gallery/*.png"))):
                    logged[f"report/{path.relative_to(folder).with_suffix('')}"] = wandb.Image(str(path))
                for path in sorted(folder.glob("*.csv")):
                    with open(path, newline="", encoding="utf-8") as file:
                        columns, *rows = csv.reader(file)
                    table = wandb.Table(columns=list(columns), data=list(map(list, rows)))
                    logged[f"report/{path.stem}_table"] = table
                logger.experiment.log(logged)


def finish() -> None:
    """Close the W&B run of this process, if there is one, so that all of it is on disk."""
    if wandb.run is not None:
        wandb.finish()
