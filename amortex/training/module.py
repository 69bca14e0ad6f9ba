"""Training of amortized explainers: the rate-distortion objective, through Lightning."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from amortex.amortized.build import build_predictor
from amortex.amortized.checkpoints import start_from
from amortex.amortized.config import PredictorConfig
from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.core.errors import InputError
from amortex.explaining.batch import Request
from amortex.explaining.distributed import explain_shared
from amortex.explaining.rows import Row
from amortex.io.images import Source
from amortex.rate_distortion.problem import Problem
from amortex.training.config import ObjectiveConfig, OptimizerConfig, RefinementConfig, plain_values, require
from amortex.training.objective import Objective
from amortex.training.schedules import one_cycle, running_mean
from amortex.training.validation import Batch, Validation

BAD_STEPS = 50  # in a row without a finite gradient, after which training gives up


# as constants, since the signature shows them to the command line
PROBLEM, PREDICTOR, OBJECTIVE = Problem(internal_batch_size=64), PredictorConfig(), ObjectiveConfig()
REFINEMENT, OPTIMIZER = RefinementConfig(), OptimizerConfig()


class AmortizedTrainingModule(Validation):
    """Trains a `MaskPredictor`: obfuscate what the predicted mask drops, and keep the class all the same.

    The loss is `Objective`; labels are never used.

    All randomness is a function of (`seed`, sample number), so that a resumed run repeats an uninterrupted one.

    Arguments:
        problem: what is explained, and how masks are measured; its distortion is what the predictor learns to expect.
        predictor: how the `MaskPredictor` is built.
        objective: what the loss is made of.
        refinement: what is learned of refinement.
        optimizer: how the weights move.
        start: a checkpoint or release whose weights training starts from.
        lambda_k: sparsity weights at which the objective is validated.
        validation_samples: noise draws per mask in validation.
        compile: whether to compile the classifier: may be faster on GPUs.
        seed: of all randomness.

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
        require(validation_samples >= 1, "validation_samples", "at least 1")
        lowest = "above 0" if refinement.steps else "at least 0"
        positive = all((value > 0 or not refinement.steps) and 0 <= value < math.inf for value in lambda_k)
        require(bool(lambda_k) and positive, "lambda_k", f"finite numbers {lowest}")
        if refinement.steps and problem.distortion != "label_l2":
            raise InputError(f"refinement is learned for the distortion label_l2 alone, not for {problem.distortion}")
        groups: dict[str, Any] = {
            "problem": problem, "predictor": predictor, "objective": objective, "refinement": refinement,
            "optimizer": optimizer,
        }  # fmt: skip
        plain = {name: plain_values(asdict(group)) for name, group in groups.items()}
        plain |= {"start": start, "lambda_k": list(lambda_k), "validation_samples": validation_samples, "seed": seed}
        self.save_hyperparameters(plain)  # without `compile`: a matter of the machine
        self.problem, self.optimizer_config, self.refinement, self.seed = problem, optimizer, refinement, seed
        self.lambda_k, self.validation_samples, self.start = tuple(lambda_k), validation_samples, start
        self.predictor: MaskPredictor = build_predictor(problem, predictor, refinement.steps > 0)
        if compile:
            self.predictor.rate_distortion.classifier.compile()
        if refinement.only:
            for name, parameter in self.predictor.decoder.named_parameters():
                parameter.requires_grad_(name.startswith("refiner."))
        self.objective = Objective(self.predictor, objective, refinement, self.lambda_k, seed)
        self.average = AveragedModel(self.predictor.decoder, avg_fn=running_mean(optimizer.ema)).requires_grad_(False)
        self.bad_steps = torch.zeros((), dtype=torch.long)

    @property
    def data_config(self) -> dict[str, Any]:
        """Of the classifier; the data module needs it."""
        return self.predictor.rate_distortion.classifier.data_config

    def setup(self, stage: str) -> None:
        """Begin with the weights of `start`, unless a run goes on."""
        if stage != "fit" or not self.start or self.trainer.ckpt_path:
            return
        start_from(self.predictor, Path(self.start))

    def on_train_start(self) -> None:
        """A resumed optimiser has the checkpoint's settings: they are this run's from now on."""
        for optimizer, config in zip(self.trainer.optimizers, self.trainer.lr_scheduler_configs, strict=True):
            schedule, h = config.scheduler, self.optimizer_config
            assert isinstance(schedule, torch.optim.lr_scheduler.LambdaLR)
            schedule.base_lrs = [h.lr] * len(optimizer.param_groups)
            for group, factor in zip(optimizer.param_groups, schedule.lr_lambdas, strict=True):
                group.update(lr=h.lr * factor(schedule.last_epoch), initial_lr=h.lr, weight_decay=h.weight_decay)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        done = self.global_step / max(1, self.trainer.max_steps)
        loss, measured = self.objective(batch["image"], batch["numbers"], done, self.global_step)
        means = torch.stack(list(measured.values())).detach()
        if self.trainer.world_size > 1:  # without the barrier of Lightning's own, which would wait for the device
            torch.distributed.all_reduce(means)
            means /= self.trainer.world_size
        for key, value in zip(measured, means, strict=True):
            self.log(f"train/{key}", value, prog_bar=key == "loss", batch_size=len(batch["image"]))
        return loss

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip; too many gradients in a row that are not finite end the run."""
        norm = self.limit_gradient()
        self.log("train/gradient_norm", norm)
        self.bad_steps = torch.where(norm.isfinite(), 0, self.bad_steps.to(norm.device) + 1)
        if self.global_step % BAD_STEPS == 0 and int(self.bad_steps) >= BAD_STEPS:  # rarely: it waits for the device
            raise InputError(f"no finite gradient in {BAD_STEPS} steps: lower lr, and check the classifier's outputs")

    def limit_gradient(self) -> Tensor:
        """Norm of the gradient, clipped from then on; a gradient that is not finite counts as zero."""
        parameters = list(self.predictor.decoder.parameters())
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.optimizer_config.clip)
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0, 0, 0)
        return norm

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """A step of the averaged weights for each of the optimiser, of however many batches it is."""
        super().optimizer_step(*args, **kwargs)
        self.average.update_parameters(self.predictor.decoder)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        h, steps = self.optimizer_config, self.trainer.max_steps
        if steps < 1:
            raise InputError("training needs the number of steps: give --trainer.max_steps")
        trained = [parameter for parameter in self.predictor.decoder.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=h.lr, weight_decay=h.weight_decay)
        cycle = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step / steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

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
        """Explain files like ``explain.py`` does, with its default lambda_k; returns the rows of the summary.

        Explanations go where the trainer's other files go.
        """
        explainer = Amortized(self.predictor, seed=self.seed)
        request = Request(explainer, "amortized", batch_size=cast(Any, self.trainer).datamodule.batch_size)
        return explain_shared(self.trainer, request, batch, Path(self.trainer.default_root_dir, "predictions"))

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Without the classifier's weights: its name and settings are hyper-parameters."""
        kept = ("predictor.decoder.", "average.")
        return {key: value for key, value in super().state_dict(*args, **kwargs).items() if key.startswith(kept)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["amortex"] = self.predictor.rate_distortion.identity()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.predictor.refuse_others(checkpoint.get("amortex", {}))
        own, found = ({key: value.shape for key, value in state.items()}
                      for state in (self.state_dict(), checkpoint["state_dict"]))  # fmt: skip
        for key in own.keys() | found.keys():
            if own.get(key) != found.get(key):
                raise InputError(
                    f"the checkpoint's predictor is built otherwise ({key} has {found.get(key, 'no values')}, here "
                    f"{own.get(key, 'none')}): leave its settings as they are, or train another"
                )
        self.strict_loading = False
