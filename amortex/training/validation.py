"""Validation of amortized explainers in training: masks of all rates, those that are predicted, and refined ones."""

from typing import Any, cast

import lightning
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from amortex.amortized.predictor import CURVE_RATES, MaskPredictor, Prediction
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.training.config import RefinementConfig
from amortex.training.objective import RISE

Batch = dict[str, Any]


class Validation(lightning.LightningModule):
    """The part of `AmortizedTrainingModule` that validates and tests, with averaged weights."""

    predictor: MaskPredictor
    refinement: RefinementConfig
    lambda_k: tuple[float, ...]
    validation_samples: int
    seed: int
    average: AveragedModel

    def predict_masks(self, image: Tensor) -> Prediction:
        """Prediction of the averaged weights for images ``(B, C, H, W)`` in [0, 1]."""
        prediction: Prediction = self.predictor(image, decoder=self.average.module)
        return prediction

    def validation_step(self, batch: Batch, batch_index: int) -> dict[str, Any]:
        image = batch["image"]
        prediction = self.predict_masks(image)
        encoded = prediction.encoded
        measured: dict[str, Tensor] = {}
        grid = torch.stack([self._measure(encoded, prediction.mask(rate))[0] for rate in CURVE_RATES], 1)
        expected = prediction.curve
        measured["val/curve_error"] = (expected - grid).abs().mean(1)
        measured["val/rises"] = (grid.diff(dim=1) > RISE).any(1).float()
        rates = torch.tensor(CURVE_RATES, device=grid.device)
        for value in self.lambda_k:
            rate = prediction.rate_for(value)
            distortion, retained = self._measure(encoded, prediction.mask(rate))
            measured[f"val/rate_{value:g}"] = rate
            measured[f"val/distortion_{value:g}"] = distortion
            measured[f"val/objective_{value:g}"] = distortion + value * rate
            measured[f"val/best_objective_{value:g}"] = (grid + value * rates).amin(1)
            measured[f"val/retained_{value:g}"] = retained.float()
            if self.refinement.steps:
                mask = self.predictor.refine(
                    prediction,
                    value,
                    self.refinement.steps,
                    NoiseStreams.of(image, self.seed, "refine"),
                    decoder=self.average.module,
                )
                measured[f"val/refined_{value:g}"] = self._measure(encoded, mask)[0] + value * mask.mean(1)
        name = "refined" if self.refinement.steps else "objective"
        objectives = [measured[f"val/{name}_{value:g}"] for value in self.lambda_k]
        measured["val/objective"] = torch.stack(objectives).mean(0)
        self.measured.append(measured)
        return {"prediction": prediction, "measured": measured}

    def on_validation_epoch_start(self) -> None:
        self.measured: list[dict[str, Tensor]] = []

    def on_validation_epoch_end(self) -> None:
        """Log means over the images of all devices, whose numbers may differ: Lightning's own would be wrong then.

        Without those that are not finite, or one image would make all checkpoints look alike.
        """
        names = list(self.measured[0])
        values = torch.cat([torch.stack([one[name] for name in names], 1) for one in self.measured])
        sums = torch.stack([values.nan_to_num(0, 0, 0).sum(0), values.isfinite().sum(0).to(values)])
        total, count = cast(Tensor, self.trainer.strategy.reduce(sums, reduce_op="sum"))
        self.log_dict(dict(zip(names, total / count, strict=True)), batch_size=1, sync_dist=True)

    test_step = validation_step
    on_test_epoch_start, on_test_epoch_end = on_validation_epoch_start, on_validation_epoch_end

    def _measure(self, encoded: EncodedBatch, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Distortion ``(B,)`` on noise that training never sees, and whether the class is retained."""
        streams = NoiseStreams.of(encoded.image, stream="evaluate")
        outcome = self.predictor.rate_distortion(encoded, mask, streams, self.validation_samples)
        return outcome.distortion.mean(1), outcome.probabilities.argmax(-1) == encoded.target
