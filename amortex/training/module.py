"""Training of amortized explainers through Lightning."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from amortex.amortized.build import build_predictor
from amortex.amortized.config import PredictorConfig
from amortex.amortized.explainer import Amortized
from amortex.amortized.legacy import upgrade_checkpoint
from amortex.amortized.predictor import MaskPredictor, Prediction
from amortex.amortized.starting import start_from
from amortex.core.errors import InputError
from amortex.explaining.batch import Request
from amortex.explaining.distributed import explain_shared
from amortex.explaining.rows import Row
from amortex.io.finding import Source
from amortex.rate_distortion.problem import Problem
from amortex.training.config import ObjectiveConfig, OptimizerConfig, RefinementConfig, check_validation, plain_values
from amortex.training.objective import Objective
from amortex.training.optimization import apply_config, limit_gradient, one_cycle_optimizer
from amortex.training.schedules import running_mean
from amortex.training.validation import Validation, mean_over_devices

MAX_BAD_STEPS = 50  # steps in a row without a finite gradient, after which training gives up
SAVED_WEIGHTS = ("predictor.decoder.", "average.")  # name and settings of the classifier are hyper-parameters
PROBLEM, PREDICTOR, OBJECTIVE = Problem(internal_batch_size=64), PredictorConfig(), ObjectiveConfig()
REFINEMENT, OPTIMIZER = RefinementConfig(), OptimizerConfig()  # defaults that the command line shows

Batch = dict[str, Any]


class AmortizedTrainingModule(lightning.LightningModule):
    """Trains a `MaskPredictor` to keep the classifier's decision when all that its mask drops is obfuscated.

    The loss is `Objective`; labels are never used. All randomness is a function of (`seed`, sample number), so that a
    resumed run repeats an uninterrupted one.

    Arguments:
        problem: what is explained, and how masks are measured. The predictor learns to expect this distortion.
        predictor: how the `MaskPredictor` is built.
        objective: the loss of masks.
        refinement: the loss of learned refinement.
        optimizer: how the weights are optimised.
        start: a checkpoint or release whose weights training starts from.
        lambda_k: sparsity weights at which the objective is validated.
        validation_samples: noise draws per mask in validation.
        compile: whether to compile the classifier, which may be faster on GPUs.
        seed: of all randomness.

    Raises:
        InputError: values out of range, or that do not go together.

    References:
        Amortized optimisation of the RDE objective (Kolek et al., ECCV 2022, eq. 2-5).
    """

    def __init__(
        self,
        problem: Problem = PROBLEM,
        predictor: PredictorConfig = PREDICTOR,
        objective: ObjectiveConfig = OBJECTIVE,
        refinement: RefinementConfig = REFINEMENT,
        optimizer: OptimizerConfig = OPTIMIZER,
        start: str | None = None,
        lambda_k: tuple[float, ...] = (1.0, 2.5, 5.0, 10.0),
        validation_samples: int = 4,
        compile: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_validation(lambda_k, validation_samples, refinement)
        if refinement.steps and problem.distortion != "label_l2":
            raise InputError(f"refinement is learned for the distortion label_l2 alone, not for {problem.distortion}")
        self.predictor: MaskPredictor = build_predictor(problem, predictor, asdict(refinement))
        problem = problem.resolved(len(self.data_config["input_size"]) - 1)  # defaults may change, a checkpoint may not
        groups: dict[str, Any] = {
            "problem": problem, "predictor": predictor, "objective": objective, "refinement": refinement,
            "optimizer": optimizer,
        }  # fmt: skip
        plain = {name: plain_values(asdict(group)) for name, group in groups.items()}
        plain |= {"start": start, "lambda_k": list(lambda_k), "validation_samples": validation_samples, "seed": seed}
        self.save_hyperparameters(plain)  # without `compile`, which belongs to the machine
        self.optimizer_config, self.start, self.seed, self.lambda_k = optimizer, start, seed, tuple(lambda_k)
        for name, parameter in self.predictor.decoder.named_parameters():
            parameter.requires_grad_(name.startswith(refinement.trained))
        self.objective = Objective(self.predictor, objective, refinement, self.lambda_k, seed)
        if compile:
            self.predictor.rate_distortion.classifier.compile()
        self.average = AveragedModel(self.predictor.decoder, avg_fn=running_mean(optimizer.ema)).requires_grad_(False)
        self.validation = Validation(
            self.predictor, self.average.module, self.lambda_k, validation_samples, refinement.steps,
            objective.rise_threshold, seed,
        )  # fmt: skip
        self.bad_steps = torch.zeros((), dtype=torch.long)

    @property
    def data_config(self) -> dict[str, Any]:
        """Of the classifier: the data module prepares images by it."""
        return self.predictor.rate_distortion.classifier.data_config

    def setup(self, stage: str) -> None:
        """Begin with the weights of `start`, unless a run is resumed."""
        if stage == "fit" and not self.trainer.ckpt_path:
            start_from(self.predictor, self.start)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        steps = self.trainer.max_steps
        if steps < 1:
            raise InputError("training needs the number of steps: give --trainer.max_steps")
        trained = [parameter for parameter in self.predictor.decoder.parameters() if parameter.requires_grad]
        return one_cycle_optimizer(trained, self.optimizer_config, steps)

    def on_train_start(self) -> None:
        """Train with the settings of this run, also where the optimiser comes from a checkpoint."""
        for optimizer, config in zip(self.trainer.optimizers, self.trainer.lr_scheduler_configs, strict=True):
            apply_config(optimizer, cast(LambdaLR, config.scheduler), self.optimizer_config)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        progress = self.global_step / max(1, self.trainer.max_steps)
        loss, measured = self.objective(batch["image"], batch["numbers"], progress, self.global_step)
        means = torch.stack(list(measured.values())).detach()
        if self.trainer.world_size > 1:  # Lightning's own reduction has a barrier, which would wait for the device
            torch.distributed.all_reduce(means)
            means /= self.trainer.world_size
        for key, value in zip(measured, means, strict=True):
            self.log(f"train/{key}", value, prog_bar=key == "loss", batch_size=len(batch["image"]))
        return loss

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip the gradient; end the run if too many in a row are not finite."""
        norm = limit_gradient(self.predictor.decoder.parameters(), self.optimizer_config.clip)
        self.log("train/gradient_norm", norm)
        self.bad_steps = torch.where(norm.isfinite(), 0, self.bad_steps.to(norm.device) + 1)
        # rarely, because reading the number waits for the device
        if self.global_step % MAX_BAD_STEPS == 0 and int(self.bad_steps) >= MAX_BAD_STEPS:
            raise InputError(
                f"no finite gradient in {MAX_BAD_STEPS} steps: lower lr, and check the classifier's outputs"
            )

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Update the averaged weights after each step, however many batches it accumulates."""
        super().optimizer_step(*args, **kwargs)
        self.average.update_parameters(self.predictor.decoder)

    def predict_masks(self, image: Tensor) -> Prediction:
        """Prediction of the averaged weights for signals ``(B, C, *size)``."""
        prediction: Prediction = self.predictor(image, decoder=self.average.module)
        return prediction

    def on_validation_epoch_start(self) -> None:
        self.measured: list[dict[str, Tensor]] = []

    def validation_step(self, batch: Batch, batch_index: int) -> dict[str, Any]:
        prediction = self.predict_masks(batch["image"])
        measured = self.validation(prediction)
        self.measured.append(measured)
        return {"prediction": prediction, "measured": measured}

    def on_validation_epoch_end(self) -> None:
        means = mean_over_devices(self.validation.names, self.measured, self.trainer.strategy)
        self.log_dict(means, batch_size=1, sync_dist=True)

    test_step = validation_step
    on_test_epoch_start, on_test_epoch_end = on_validation_epoch_start, on_validation_epoch_end

    def refuse_untrained(self) -> None:
        """Raises InputError before the first training step."""
        if not bool(self.average.n_averaged):
            raise InputError("this explainer is untrained: give a trained one with --ckpt_path")

    def on_validation_start(self) -> None:
        if not self.trainer.sanity_checking:
            self.refuse_untrained()

    def on_test_start(self) -> None:
        self.refuse_untrained()

    def on_predict_start(self) -> None:
        self.refuse_untrained()
        self.predictor.decoder.load_state_dict(self.average.module.state_dict())

    def predict_step(self, batch: list[Source], batch_index: int) -> list[Row]:
        """Explain files like ``explain.py`` with its default lambda_k; the rows of the summary.

        Explanations are written beside the other files of the trainer.
        """
        explainer = Amortized(self.predictor, seed=self.seed)
        request = Request(explainer, "amortized", batch_size=cast(Any, self.trainer).datamodule.batch_size)
        return explain_shared(self.trainer, request, batch, Path(self.trainer.default_root_dir, "predictions"))

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """The weights without those of the classifier."""
        weights = super().state_dict(*args, **kwargs)
        return {key: value for key, value in weights.items() if key.startswith(SAVED_WEIGHTS)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["amortex"] = self.predictor.rate_distortion.identity()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        upgrade_checkpoint(checkpoint)
        self.predictor.refuse_others(checkpoint.get("amortex", {}))
        shapes, expected = ({key: value.shape for key, value in weights.items()}
                            for weights in (checkpoint["state_dict"], self.state_dict()))  # fmt: skip
        for key in expected.keys() | shapes.keys():
            if expected.get(key) != shapes.get(key):
                raise InputError(
                    f"the checkpoint's predictor is built otherwise ({key} has {shapes.get(key, 'no values')}, here "
                    f"{expected.get(key, 'none')}): leave its settings as they are, or train another"
                )
        self.strict_loading = False  # the classifier's weights are not in the checkpoint
