"""Pictures of validation: panels, a table of images, histograms of mask values, and the objective over the steps."""

import io
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from PIL import Image
from torch import Tensor

from amortex.amortized.predictor import Prediction
from amortex.core.errors import InputError
from amortex.explaining.figures import png
from amortex.explaining.plots import training_curve
from amortex.explaining.results import ExplanationResult
from amortex.explaining.views import view_of
from amortex.io.files import write_atomically
from amortex.io.finding import Source
from amortex.rate_distortion.encoded_batch import class_probability
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.training.module import AmortizedTrainingModule

PANEL_SAMPLES = 16  # of the certificate above a panel


class ValidationRow(NamedTuple):
    """One validation image in the table. The names of the fields are those of the columns."""

    name: str
    class_name: str
    probability: float  # of the class on the clean image
    rate: float
    distortion: float
    retained: bool


class PanelLogger(Callback):
    """At each validation: panels of the first images, a table of all images, and histograms of mask values per scale.

    With several devices, the images are those of the first one. Panels are written to ``panels/`` beside the metrics of
    the CSV logger, with a plot of the objective, ``curve.png``. Panels, table and histograms go to W&B where it is on.

    Arguments:
        images: number of panels.
        lambda_k: sparsity weight whose masks are shown; one of those that the module validates.

    Raises:
        InputError: in `setup`, if the module does not validate `lambda_k`, or no predicted masks at all.
    """

    def __init__(self, images: int = 4, lambda_k: float = 2.5) -> None:
        self.images, self.lambda_k = images, lambda_k
        self.history: list[dict[str, float]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        module = cast(AmortizedTrainingModule, pl_module)
        if module.predictor.decoder.path is not None and stage in ("fit", "validate"):
            raise InputError(
                "steps of paths leave the masks of panels as they are: leave out PanelLogger, as "
                "configs/experiment/path.yaml does"
            )
        validated = module.lambda_k
        if self.lambda_k not in validated:
            raise InputError(f"the panels show lambda_k {self.lambda_k:g}, which is not validated: {validated}")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.panels: dict[str, bytes] = {}
        self.rows: list[ValidationRow] = []
        self.masks: list[Tensor] = []
        self.level = torch.empty(0)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        if not trainer.is_global_zero:
            return
        prediction: Prediction = outputs["prediction"]
        measured: dict[str, Tensor] = outputs["measured"]
        encoded, key = prediction.encoded, f"{self.lambda_k:g}"
        mask = prediction.mask(measured[f"val/rate_{key}"])
        self.level = encoded.layout.level.cpu()
        rd = cast(AmortizedTrainingModule, pl_module).predictor.rate_distortion
        names = batch.get("name") or [f"image {int(index)}" for index in batch["index"]]
        columns = [class_probability(encoded), *(measured[f"val/{name}_{key}"] for name in ValidationRow._fields[3:])]
        values = torch.stack([column.float() for column in columns], 1).tolist()
        for index, (probability, rate, distortion, retained) in enumerate(values):
            name = f"{len(self.rows):02d}_{Path(names[index]).stem}"  # names need not be unique
            class_name = rd.classifier.class_name(int(encoded.target[index]))
            row = ValidationRow(name, class_name, probability, rate, distortion, bool(retained))
            self.rows.append(row)
            if len(self.masks) < self.images:
                self.masks.append(mask[index].cpu())
                self.panels[name] = self._panel(rd, prediction, mask, index, pl_module.global_step)

    def _panel(self, rd: RateDistortion, prediction: Prediction, mask: Tensor, index: int, step: int) -> bytes:
        """Panel of one input of a batch as ``explain.py`` draws it, as a PNG file; `mask` is ``(B, k)``."""
        one = slice(index, index + 1)
        settings = {
            "method": f"amortized, step {step}", "explainer_lambda_k": self.lambda_k, "explainer_seed": 0,
            "certificate_samples": PANEL_SAMPLES,
        }  # fmt: skip
        result = ExplanationResult(
            prediction.encoded.of(one), mask[one], mask[one], rate_distortion=rd, settings=settings,
            sources=[Source(Path(), Path())], seconds=0.0,
        )  # fmt: skip
        result.certificate()
        return png(view_of(result).draw(result, 0))

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
                self._log_to_wandb(logger, step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        metrics, row = trainer.callback_metrics, {"step": float(pl_module.global_step)}
        for value in cast(AmortizedTrainingModule, pl_module).lambda_k:
            row[f"{value:g}"] = metrics[f"val/best_objective_{value:g}"].item()
            row[f"predicted {value:g}"] = metrics[f"val/objective_{value:g}"].item()
            if f"val/refined_{value:g}" in metrics:
                row[f"refined {value:g}"] = metrics[f"val/refined_{value:g}"].item()
        self.history.append(row)
        for logger in trainer.loggers:
            if isinstance(logger, CSVLogger):
                write_atomically(Path(logger.log_dir, "curve.png"), png(training_curve(self.history)))

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = state_dict["history"]

    def _log_to_wandb(self, logger: WandbLogger, step: int) -> None:
        import wandb  # takes a second: only where a run logs to it

        pictures = [wandb.Image(Image.open(io.BytesIO(content)), caption=name) for name, content in self.panels.items()]
        logged: dict[str, Any] = {
            "val/panels": pictures,
            "val/images": wandb.Table(columns=list(ValidationRow._fields), data=[list(row) for row in self.rows]),
            "trainer/global_step": step,
        }
        masks = [mask for mask in self.masks if mask.isfinite().all()]  # histograms refuse others
        for level in self.level.unique().tolist() if masks else ():
            name = "low" if level == 0 else f"level{level}"
            values = torch.stack(masks)[:, self.level == level]
            logged[f"val/mask_values/{name}"] = wandb.Histogram(values.flatten().tolist())
        logger.experiment.log(logged)
