"""Training of amortized explainers: the rate-distortion objective, through Lightning."""

import math
from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from amortex.classifiers import DEFAULT_CLASSIFIER
from amortex.distortions import DistortionName, of_class
from amortex.draws import Draws
from amortex.predictors import MaskPredictor, Prediction
from amortex.predictors.load import build_predictor
from amortex.predictors.predictor import RATES
from amortex.rate_distortion import Reference
from amortex.types import InputError

Batch = dict[str, Any]
BAD_STEPS = 50  # in a row without a finite gradient, after which training gives up


def one_cycle(progress: float, rise: float = 0.1, start: float = 0.04) -> float:
    """Factor of the learning rate: on a cosine from `start` to 1 over the share `rise` of the steps, then to zero."""
    if progress < rise:
        return start + (1 - start) * (1 - math.cos(math.pi * progress / rise)) / 2
    return (1 + math.cos(math.pi * min(1.0, (progress - rise) / (1 - rise)))) / 2


def running_mean(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """An exponential mean that forgets the start of training: its decay grows to `decay` with the number of steps."""

    def mean(average: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        now = torch.as_tensor((1 + count) / (10 + count)).clamp(max=decay)
        return torch.lerp(value, average, now.to(value))

    return mean


def surrogate(reference: Reference, outputs: Tensor) -> Tensor:
    """What stands in for the distortion of outputs ``Phi(y)`` ``(B, L, M)`` in training, ``(B, L)``.

    The Kullback-Leibler divergence between class and not class, whose gradient by the logit is ``p' - p``: other than
    that of squared differences it does not vanish where the class is lost, and other than ``-log p'`` it does not ask
    for more than the image itself has, which would make distortion rise again with the rate.
    """
    wanted = torch.where(reference.predicted, of_class(reference.probabilities, reference.target), 1.0)[:, None]
    kept = of_class(outputs, reference.target)
    wanted, kept = (torch.stack([p, 1 - p]).clamp(min=1e-7) for p in (wanted, kept))
    return (wanted * (wanted / kept).log()).sum(0)


class AmortizedExplainer(lightning.LightningModule):
    """Trains a `MaskPredictor`: obfuscate what the predicted mask drops, and keep the class all the same.

    Each image gets a rate of its own, and its mask has exactly that rate, so that the mask cannot collapse; the loss is
    the `surrogate` of the distortion. The rates fall from `first_rates` to `rates` over the share `curriculum` of the
    steps. Besides, the decoder learns to predict its own distortion, from which the rate for a requested lambda_k
    follows. Labels are never used.

    All randomness is a function of (`seed`, sample number), so that a resumed run repeats an uninterrupted one.

    Arguments:
        classifier, weights, num_classes, class_names, model_args, img_size, mean, std: as `load_classifier`'s.
        wavelet, levels, padding: of the transform.
        obfuscation: by name, as `explain.py` takes it.
        distortion: what the predictor learns to expect, and what validation measures.
        features, gradient, width, condition: of the `MaskPredictor`.
        lr, weight_decay: of AdamW; the learning rate follows one cycle over the trainer's `max_steps`.
        samples: noise draws per image and step.
        first_rates, rates: intervals from which rates are drawn log-uniformly, at the start and after the curriculum.
        curriculum: share of the steps over which the interval moves.
        ema: decay of the running mean of the weights, which is what is validated and exported.
        clip: largest norm of the gradient.
        lambda_k: sparsity weights at which the objective is validated.
        validation_samples: noise draws per mask in validation.
        internal_batch_size: most obfuscated images in memory at once in validation.
        seed: of all randomness.

    References:
        Amortized optimisation of the RDE objective (Kolek et al., ECCV 2022, eq. 2-5).
    """

    def __init__(
        self,
        classifier: str = DEFAULT_CLASSIFIER,
        weights: str = "auto",
        num_classes: int | None = None,
        class_names: str | None = None,
        model_args: dict[str, Any] | None = None,
        img_size: int | None = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        wavelet: str = "db3",
        levels: int = 5,
        padding: str = "zero",
        obfuscation: str = "gaussian",
        distortion: DistortionName = "label_l2",
        features: bool = True,
        gradient: bool = True,
        width: int = 24,
        condition: int = 64,
        lr: float = 3e-3,
        weight_decay: float = 0.01,
        samples: int = 1,
        first_rates: tuple[float, float] = (0.3, 0.98),
        rates: tuple[float, float] = (0.005, 0.95),
        curriculum: float = 0.4,
        ema: float = 0.998,
        clip: float = 1.0,
        lambda_k: tuple[float, ...] = (1.0, 2.5, 5.0, 10.0),
        validation_samples: int = 4,
        internal_batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for low, high in (first_rates, rates):
            if not 0 < low < high <= 1:
                raise InputError(f"rates must be intervals within (0, 1], not ({low}, {high})")
        if not 0 <= ema < 1 or not 0 <= curriculum <= 1 or samples < 1 or lr <= 0 or clip <= 0:
            raise InputError("ema must be in [0, 1), curriculum in [0, 1], samples at least 1, lr and clip above 0")
        self.save_hyperparameters()
        self.predictor: MaskPredictor = build_predictor(dict(self.hparams))
        self.average = AveragedModel(self.predictor.decoder, avg_fn=running_mean(ema)).requires_grad_(False)
        self.bad_steps = torch.zeros((), dtype=torch.long)

    @property
    def settings(self) -> Any:
        """The constructor's arguments."""
        return self.hparams

    @property
    def data_config(self) -> dict[str, Any]:
        """Of the classifier; the data module needs it."""
        return self.predictor.rate_distortion.classifier.data_config

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        done = self.global_step / max(1, self.trainer.max_steps)
        loss, measured = self.loss(batch["image"], batch["numbers"], done)
        self.log_dict({f"train/{key}": value for key, value in measured.items()}, batch_size=len(batch["image"]))
        return loss

    def loss(self, image: Tensor, numbers: list[int], done: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of images ``(B, C, H, W)`` in [0, 1], and what to log of it.

        `numbers` are those of the samples, which all randomness follows from; `done` is the share of training behind.
        """
        h, rd = self.settings, self.predictor.rate_distortion
        prediction = self.predictor(image, draws=Draws.numbered(numbers, h.seed, "look", image.device))
        rate = self._rates(numbers, done)
        mask = prediction.mask(rate)
        if mask.requires_grad:  # an image whose outputs are not finite must not cost the others their step
            mask.register_hook(lambda gradient: gradient.nan_to_num(0, 0, 0))
        reference = prediction.reference
        noise = rd.noise(reference, Draws.numbered(numbers, h.seed, "train", image.device), slice(None), h.samples)
        outputs = rd.outputs(reference, mask, noise)
        divergence = surrogate(reference, outputs).mean(1)
        distortion = rd.distortions(reference, outputs.detach()).mean(1).nan_to_num(0, 0, 0)
        surprise = (prediction.distortion(rate[:, None])[:, 0] - distortion).square()
        loss = torch.where(divergence.isfinite(), divergence + surprise, 0.0).mean()
        return loss, {
            "loss": divergence.mean(), "distortion": distortion.mean(), "rate": rate.mean(),
            "curve_error": surprise.mean(),
        }  # fmt: skip

    def _rates(self, numbers: list[int], done: float) -> Tensor:
        """Rates of samples, ``(B,)``: log-uniform in the interval of the curriculum."""
        h = self.settings
        moved = min(1.0, done / h.curriculum) if h.curriculum else 1.0
        interval = torch.lerp(torch.tensor(h.first_rates).log(), torch.tensor(h.rates).log(), moved)
        uniform = Draws.numbered(numbers, h.seed, "rate").fill(
            lambda out, generator: out.uniform_(generator=generator), slice(None), 1, (1,), torch.float32
        )
        return torch.lerp(interval[0], interval[1], uniform[:, 0, 0]).exp().to(self.device)

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
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.settings.clip)
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0, 0, 0)
        return norm

    def on_train_batch_end(self, *_: Any) -> None:
        self.average.update_parameters(self.predictor.decoder)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        h, steps = self.settings, self.trainer.max_steps
        if steps < 1:
            raise InputError("training needs the number of steps: give --trainer.max_steps")
        optimizer = torch.optim.AdamW(self.predictor.decoder.parameters(), lr=h.lr, weight_decay=h.weight_decay)
        cycle = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step / steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def predict_masks(self, image: Tensor) -> Prediction:
        """Prediction of the averaged weights for images ``(B, C, H, W)`` in [0, 1]."""
        return self.predictor(image, decoder=self.average.module)

    def validation_step(self, batch: Batch, batch_index: int) -> dict[str, Any]:
        h, image = self.settings, batch["image"]
        prediction = self.predict_masks(image)
        reference = prediction.reference
        measured: dict[str, Tensor] = {}
        grid = torch.stack([self._measure(reference, prediction.mask(rate))[0] for rate in RATES], 1)
        expected = prediction.curve
        measured["val/curve_error"] = (expected - grid).abs().mean(1)
        measured["val/rises"] = (grid.diff(dim=1) > 0.01).any(1).float()
        rates = torch.tensor(RATES, device=grid.device)
        for value in h.lambda_k:
            rate = prediction.rate_for(value)
            distortion, retained = self._measure(reference, prediction.mask(rate))
            measured[f"val/rate_{value:g}"] = rate
            measured[f"val/distortion_{value:g}"] = distortion
            measured[f"val/objective_{value:g}"] = distortion + value * rate
            measured[f"val/best_objective_{value:g}"] = (grid + value * rates).amin(1)
            measured[f"val/retained_{value:g}"] = retained.float()
        objectives = [measured[f"val/objective_{value:g}"] for value in h.lambda_k]
        measured["val/objective"] = torch.stack(objectives).mean(0)
        self.log_dict({key: value.mean() for key, value in measured.items()}, batch_size=len(image), sync_dist=True)
        return {"prediction": prediction, "measured": measured}

    test_step = validation_step

    def _measure(self, reference: Reference, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Distortion ``(B,)`` on noise that training never sees, and whether the class is retained."""
        draws = Draws.of(reference.image, stream="evaluate")
        outcome = self.predictor.rate_distortion(reference, mask, draws, self.settings.validation_samples)
        return outcome.distortion.mean(1), outcome.probabilities.argmax(-1) == reference.target

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Without the classifier's weights: its name and settings are hyper-parameters."""
        kept = ("predictor.decoder.", "average.")
        return {key: value for key, value in super().state_dict(*args, **kwargs).items() if key.startswith(kept)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["amortex"] = self.predictor.identity()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.predictor.refuse_others(checkpoint.get("amortex", {}))
        self.strict_loading = False
