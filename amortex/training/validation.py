"""Validation in training: masks of all rates, of predicted rates, and refined ones, all on unseen noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from amortex.amortized.config import PathConfig
from amortex.amortized.mask_path import MaskPath
from amortex.amortized.predictor import CURVE_RATES, MaskPredictor, Prediction
from amortex.core.noise_streams import NoiseStreams
from amortex.metrics.functional import best_objective
from amortex.rate_distortion.encoded_batch import Outcome

PATH_LAMBDA_K = 5.0  # of the refined masks that densification paths start from


@dataclass(frozen=True)
class Validation:
    """Measures the masks that a predictor makes with given weights: those that are trained.

    Arguments:
        predictor: the network, whose own weights are left out.
        decoder: the weights.
        lambda_k: sparsity weights at which the objective is measured.
        samples: noise draws per mask. With a single one, ``val/best_objective`` is biased downwards.
        refinement_steps: learned steps of refined masks; 0 means that there are none.
        rise_threshold: of the distortion from one rate to the next; a larger one counts as a rise.
        seed: of the noise that refinement sees.
    """

    predictor: MaskPredictor
    decoder: torch.nn.Module
    lambda_k: tuple[float, ...]
    samples: int
    refinement_steps: int
    rise_threshold: float
    seed: int

    @property
    def names(self) -> list[str]:
        """Of the measurements."""
        if self.decoder.path is not None:
            return ["val/rises", "val/objective"]
        kinds = ["rate", "distortion", "objective", "best_objective", "retained"]
        kinds += ["refined"] if self.refinement_steps else []
        by_weight = [f"val/{kind}_{value:g}" for value in self.lambda_k for kind in kinds]
        return ["val/curve_error", "val/rises", *by_weight, "val/objective"]

    def __call__(self, prediction: Prediction) -> dict[str, Tensor]:
        """Measurements by name, ``(B,)`` each."""
        if self.decoder.path is not None:
            return self.of_paths(prediction)
        draws = torch.stack([self.outcome(prediction, prediction.mask(rate)).distortion for rate in CURVE_RATES], 1)
        distortions = draws.mean(2)
        measured = {
            "val/curve_error": (prediction.curve - distortions).abs().mean(1),
            "val/rises": (distortions.diff(dim=1) > self.rise_threshold).any(1).float(),
        }
        for value in self.lambda_k:
            rate = prediction.rate_for(value)
            distortion, retained = self.distortion(prediction, prediction.mask(rate))
            measured[f"val/rate_{value:g}"] = rate
            measured[f"val/distortion_{value:g}"] = distortion
            measured[f"val/objective_{value:g}"] = distortion + value * rate
            measured[f"val/best_objective_{value:g}"] = best_objective(CURVE_RATES, draws, value)
            measured[f"val/retained_{value:g}"] = retained.float()
            if self.refinement_steps:
                mask = self.refined_mask(prediction, value, self.refinement_steps)
                measured[f"val/refined_{value:g}"] = self.distortion(prediction, mask)[
                    0
                ] + value * prediction.encoded.rate(mask)
        name = "refined" if self.refinement_steps else "objective"
        objectives = [measured[f"val/{name}_{value:g}"] for value in self.lambda_k]
        measured["val/objective"] = torch.stack(objectives).mean(0)
        return measured

    def of_paths(self, prediction: Prediction) -> dict[str, Tensor]:
        """Mean distortion along densification paths, and whether it rises."""
        refined = self.refined_mask(prediction, PATH_LAMBDA_K, self.predictor.schedule.default_steps)
        path = MaskPath(self.predictor, prediction, refined, hard=False, seed=self.seed, decoder=self.decoder)
        rates = prediction.logits.new_tensor(PathConfig().measured_rates)
        masks = [path.mask(rate.expand(len(refined))) for rate in rates]
        distortions = torch.stack([self.distortion(prediction, mask)[0] for mask in masks], 1)
        rises = (distortions.diff(dim=1) > self.rise_threshold).any(1)
        return {"val/rises": rises.float(), "val/objective": distortions.mean(1)}

    def refined_mask(self, prediction: Prediction, lambda_k: float, steps: int) -> Tensor:
        """Mask ``(B, k)`` after so many learned steps for a sparsity weight."""
        streams = NoiseStreams.of(prediction.encoded.image, self.seed, "refine")
        return self.predictor.refine(prediction, lambda_k, steps, streams, decoder=self.decoder)

    def distortion(self, prediction: Prediction, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean distortion ``(B,)``, and whether the class is retained."""
        outcome = self.outcome(prediction, mask)
        encoded, decides = prediction.encoded, self.predictor.rate_distortion.classifier.decides
        return outcome.distortion.mean(1), decides(outcome.probabilities, encoded.target, encoded.highest)

    def outcome(self, prediction: Prediction, mask: Tensor) -> Outcome:
        """What a mask does on noise that training never sees."""
        streams = NoiseStreams.of(prediction.encoded.image, stream="evaluate")
        measured: Outcome = self.predictor.rate_distortion(prediction.encoded, mask, streams, self.samples)
        return measured


def mean_over_devices(names: Sequence[str], measured: list[dict[str, Tensor]], strategy: Any) -> dict[str, Tensor]:
    """Means of measurements over the images of all devices, which may have different numbers of images, or none.

    Values that are not finite are left out. Otherwise one image could make all checkpoints look alike. So
    ``val/image_count`` tells how many images the mean objective is of.

    Arguments:
        names: of the measurements.
        measured: one table per batch, of ``(B,)`` each.
        strategy: the trainer's.
    """
    none = torch.zeros(0, len(names), device=strategy.root_device)
    values = torch.cat([none, *(torch.stack([batch[name] for name in names], 1) for batch in measured)])
    sums = torch.stack([values.nan_to_num(0, 0, 0).sum(0), values.isfinite().sum(0).to(values)])
    total, count = cast(Tensor, strategy.reduce(sums, reduce_op="sum"))
    means = dict(zip(names, total / count, strict=True))
    return {**means, "val/image_count": count[names.index("val/objective")]}
