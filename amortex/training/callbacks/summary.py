"""The closing line of training: how good the explainer is, beside simple answers and CartoonX."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from amortex.amortized.decoder import Decoder
from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.core.errors import InputError
from amortex.core.process import out_of_memory
from amortex.data import SignalData
from amortex.data.validation import evenly_spaced
from amortex.explainers import METHODS, build_explainer
from amortex.explainers.base import Explanation
from amortex.metrics import ExplanationMetric, OperatingPoint, RateDistortionCurve
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.training.config import require
from amortex.training.module import AmortizedTrainingModule

PREFERRED_LAMBDA_K, PRESET = 5.0, "fast"
OFF = "--summary.images 0 leaves this out"


@dataclass(frozen=True)
class Objectives:
    """Mean objectives over some images.

    Arguments:
        lambda_k: weight of the rate.
        images: how many there are.
        explainer: of the masks that the explainer gives by default.
        explainer_best: of hard masks in its order, at the best rate of each image, chosen on other noise.
        trivial: the same for orderings that hardly depend on the classifier, by name.
        empty: of the empty mask.
        cartoonx: of CartoonX.
        seconds: that measuring took.
    """

    lambda_k: float
    images: int
    explainer: float
    explainer_best: float
    trivial: dict[str, float]
    empty: float
    cartoonx: float
    seconds: float

    def values(self) -> dict[str, float]:
        """What loggers get."""
        logged: dict[str, float] = {
            "images": self.images, "lambda_k": self.lambda_k, "explainer": self.explainer,
            "explainer_best": self.explainer_best, **self.trivial, "empty": self.empty, "cartoonx": self.cartoonx,
            "seconds": self.seconds,
        }  # fmt: skip
        return {f"summary/{name}": value for name, value in logged.items()}

    def __str__(self) -> str:
        """The closing line."""
        name, ordering = min(self.trivial.items(), key=lambda item: item[1])
        images = f"{self.images} validation image{'s' * (self.images > 1)}"
        line = (
            f"objective at lambda_k = {self.lambda_k:g} on {images}: this explainer {self.explainer:.3f} "
            f"(hard masks in its order at their best rates: {self.explainer_best:.3f}), "
            f"hard masks in the best trivial order {ordering:.3f} ({name}), "
            f"empty mask {self.empty:.3f}, CartoonX {PRESET} {self.cartoonx:.3f} "
            f"(measured in {self.seconds:.0f} s; {OFF})"
        )
        baselines = {f"the ordering {name}": ordering, "the empty mask": self.empty}
        unbeaten = [baseline for baseline, value in baselines.items() if not self.explainer < value]
        if not unbeaten:
            return line
        remedy = ", or explain with --select-rate" if self.explainer_best < min(baselines.values()) else ""
        verdict = f"on these images it is not better than {' and '.join(unbeaten)}"  # so few say nothing of others
        return f"{line}: {verdict}; train longer (--trainer.max_steps){remedy}"


class FitSummary(Callback):
    """Prints and logs the objective of the trained explainer, of simple answers and of CartoonX, when training is done.

    All are measured by the metrics of ``train.py compare``, on the same noise: explainer, CartoonX and the empty mask
    as they are, orderings at the best of the rates of `RateDistortionCurve` for each image. The first process measures,
    and only a run that ends by itself. Most of the time is CartoonX's. Where memory runs out, a line says so instead.

    Arguments:
        images: how many validation images, evenly spaced over their list; 0 leaves the summary out.
        samples: noise draws per mask, at least 2; by default as in ``configs/compare/cpu.yaml``.
        lambda_k: sparsity weight; by default 5 if that is validated, else the middle one of those that are.

    Raises:
        InputError: values out of range.
    """

    def __init__(self, images: int = 4, samples: int = 8, lambda_k: float | None = None) -> None:
        require(images >= 0, "summary.images", "at least 0")
        require(samples >= 2, "summary.samples", "at least 2")  # to choose a rate, and to measure it
        require(lambda_k is None or 0 <= lambda_k < float("inf"), "summary.lambda_k", "at least 0 and finite")
        self.images, self.samples, self.lambda_k = images, samples, lambda_k

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data, module = cast(Any, trainer).datamodule, cast(AmortizedTrainingModule, pl_module)
        wanted = self.images and trainer.enable_validation and not cast(Any, trainer).fast_dev_run
        if not wanted or not trainer.is_global_zero or not isinstance(data, SignalData) or data.val_source is None:
            return
        try:
            module.to(trainer.strategy.root_device)  # Lightning has moved it away
            image = evenly_spaced(data.val_source.source, data.preparation, self.images).to(module.device)
            with averaged(module) as predictor:
                objectives = measure(predictor, image, self.weight(module.lambda_k), self.samples)
        except (InputError, RuntimeError, MemoryError) as error:  # training is done all the same
            full = out_of_memory(error)
            if not full and not isinstance(error, InputError):
                raise
            print(f"no closing measurement: {'out of memory' if full else error} ({OFF})")
            return
        print(objectives)
        for logger in trainer.loggers:
            logger.log_metrics(objectives.values(), step=trainer.global_step)
            logger.save()

    def weight(self, validated: tuple[float, ...]) -> float:
        """The sparsity weight, of a module that validates some."""
        if self.lambda_k is not None:
            return self.lambda_k
        return PREFERRED_LAMBDA_K if PREFERRED_LAMBDA_K in validated else sorted(validated)[len(validated) // 2]


@contextmanager
def averaged(module: AmortizedTrainingModule) -> Iterator[MaskPredictor]:
    """The predictor with the averaged weights, which checkpoints are read for; afterwards it is as it was."""
    predictor, decoder, training = module.predictor, module.predictor.decoder, module.training
    predictor.decoder = cast(Decoder, module.average.module)
    try:
        yield predictor.eval()
    finally:
        predictor.decoder = decoder
        module.train(training)


def measure(predictor: MaskPredictor, image: Tensor, lambda_k: float, samples: int) -> Objectives:
    """Mean objectives over images ``(B, C, H, W)``, but for those whose class is not known.

    Raises:
        InputError: there are no others.
    """
    start, rd = time.perf_counter(), predictor.rate_distortion
    with torch.no_grad():
        image = image[rd.classifier(image).isfinite().all(1)]
    if not len(image):
        raise InputError("the classifier's outputs on the validation images are not finite")
    explanation = Amortized(predictor, lambda_k).explain(image)
    empty = replace(explanation, mask=torch.zeros_like(explanation.mask))
    cartoonx = build_explainer("cartoonx", rd, lambda_k=lambda_k, preset=PRESET).explain(image)
    trivial = {
        name: best_objective(rd, build_explainer(name, rd).explain(image), lambda_k, samples)
        for name, entry in METHODS.items()
        if entry.kind == "trivial" and entry.transform == rd.transform.name
    }
    return Objectives(
        lambda_k=lambda_k,
        images=len(image),
        explainer=objective(rd, explanation, lambda_k, samples),
        explainer_best=best_objective(rd, explanation, lambda_k, samples),
        trivial=trivial,
        empty=objective(rd, empty, lambda_k, samples),
        cartoonx=objective(rd, cartoonx, lambda_k, samples),
        seconds=time.perf_counter() - start,
    )


def objective(rd: RateDistortion, explanation: Explanation, lambda_k: float, samples: int) -> float:
    """Mean of masks as they are."""
    return mean(OperatingPoint(rd, lambda_k, samples), explanation, "objective")


def best_objective(rd: RateDistortion, explanation: Explanation, lambda_k: float, samples: int) -> float:
    """Mean over images of hard masks at the best of several rates, chosen on other noise."""
    return mean(RateDistortionCurve(rd, samples=samples, lambda_k=lambda_k), explanation, "best_objective")


def mean(metric: ExplanationMetric, explanation: Explanation, column: str) -> float:
    """Mean of a column over the images that have it. The metric's own one would wait for the other processes."""
    values = metric.evaluate(explanation)[:, metric.columns.index(column)].double()
    return values[values.isfinite()].mean().item()
