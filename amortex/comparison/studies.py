"""What is measured of a batch of images: a study for each row of the tables, except those of the section ``effort``."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from amortex.comparison.config import Protocol
from amortex.comparison.explained_batch import ExplainedBatch
from amortex.comparison.methods import Method
from amortex.comparison.scale_profiles import profile_of, scale_columns
from amortex.comparison.study import Study
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.mapped import in_coefficients
from amortex.explaining.provenance import provenance
from amortex.metrics import (
    ClassLeakage,
    ConcisenessPreciseness,
    ExplanationMetric,
    Hallucination,
    InsertionDeletion,
    MaskedIn,
    MuFidelity,
    NoiseOutCurve,
    OperatingPoint,
    RateDistortionCurve,
    Sanity,
    cascading_randomisation,
    other_classes,
    randomisation_stages,
)
from amortex.rate_distortion.pipeline import RateDistortion


class MetricSuite:
    """The metrics of explanations in one basis.

    Arguments:
        rd: over that basis.
        protocol: how to measure.
    """

    def __init__(self, rd: RateDistortion, protocol: Protocol) -> None:
        self.rd, self.protocol = rd, protocol

    def curves(self, lambda_k: float) -> list[ExplanationMetric]:
        """Metrics of the order of the entries."""
        rd, protocol = self.rd, self.protocol
        return self._chosen({
            "distortion": [RateDistortionCurve(rd, protocol.rates, protocol.samples, lambda_k)],
            "noise_out": [NoiseOutCurve(rd, protocol.rates, protocol.samples)],
            "insertion": [InsertionDeletion(rd, protocol.insertion_steps)],
            "mu_fidelity": [MuFidelity(rd, protocol.subsets)],
            "masked_in": [MaskedIn(rd)],
        })  # fmt: skip

    def masks(self, lambda_k: float) -> list[ExplanationMetric]:
        """Metrics of masks as they are."""
        rd, pictures = self.rd, len(self.rd.classifier.input_size) == 3
        return self._chosen({
            "distortion": [OperatingPoint(rd, lambda_k, self.protocol.samples)],
            "conciseness": [ConcisenessPreciseness(rd), *([Hallucination(rd)] if pictures else [])],
            "masked_in": [MaskedIn(rd, share=None)],
        })  # fmt: skip

    def _chosen(self, metrics: Mapping[str, Sequence[ExplanationMetric]]) -> list[ExplanationMetric]:
        return [metric for kind, of_kind in metrics.items() if kind in self.protocol.metrics for metric in of_kind]


def columns_of(metrics: Sequence[ExplanationMetric]) -> tuple[str, ...]:
    """The columns of several metrics, one after the other."""
    return tuple(name for metric in metrics for name in metric.columns)


def medians_of(metrics: Sequence[ExplanationMetric]) -> tuple[str, ...]:
    """Their columns that are medians."""
    return tuple(name for metric in metrics for name in metric.medians)


def native_study(method: Method, suite: MetricSuite, lambda_k: float) -> Study:
    """A method in the basis that its masks are over: curves, masks, what it took, and where its relevance lies.

    `lambda_k` is that of the objective of methods that have none of their own.
    """
    own = lambda_k if method.lambda_k is None else method.lambda_k
    metrics = [*suite.curves(own), *suite.masks(own)]
    scales = scale_columns(method.explainer.rate_distortion)
    scales = scales if len(scales) > 1 else ()

    def evaluate(batch: ExplainedBatch) -> Tensor:
        timed = batch.explain(method)
        with batch.stopwatch.section(f"measuring: {method.shown.label}"):
            columns = [metric.evaluate(timed.explanation).double() for metric in metrics]
            if scales:
                columns.append(profile_of(timed.explanation))
            return torch.cat([*columns, timed.seconds[:, None], timed.passes[:, None]], 1)

    settings = {"study": "native", "protocol": vars(suite.protocol), "lambda_k": lambda_k, **method.settings}
    columns = (*columns_of(metrics), *scales, "seconds", "passes")
    return Study("native", method.name, columns, evaluate, settings, medians_of(metrics), shown=method.shown)


def mapped_study(method: Method, suite: MetricSuite, lambda_k: float) -> Study:
    """A pixel method as an order of coefficients."""
    metrics = suite.curves(lambda_k if method.lambda_k is None else method.lambda_k)

    def evaluate(batch: ExplainedBatch) -> Tensor:
        explanation = batch.explain(method).explanation
        with batch.stopwatch.section(f"measuring: {method.shown.label}"):
            explanation = in_coefficients(explanation, suite.rd)
            return torch.cat([metric.evaluate(explanation).double() for metric in metrics], 1)

    settings = {"study": "mapped", "protocol": vars(suite.protocol), "lambda_k": lambda_k, **method.settings}
    settings["measured_in"] = suite.rd.transform.settings()
    return Study(
        "mapped", method.name, columns_of(metrics), evaluate, settings, medians_of(metrics), shown=method.shown
    )


def leakage_study(method: Method, protocol: Protocol) -> Study:
    """Class leakage of a method; its explainer for other classes may differ from that for predicted ones."""
    metric = ClassLeakage(method.explainer.rate_distortion, protocol.samples)
    for_target = method.for_target()

    def evaluate(batch: ExplainedBatch) -> Tensor:
        predicted = batch.explain(method).explanation
        alternative = batch.explain(for_target, other_classes(predicted.encoded)).explanation
        return metric.evaluate(predicted, alternative).double()

    settings = {"study": "leakage", "samples": protocol.samples, **method.settings, "other": for_target.settings}
    return Study("leakage", method.name, metric.columns, evaluate, settings, shown=method.shown)


def sanity_study(method: Method) -> Study:
    """Cascading randomisation of the classifier beneath a method."""
    model = method.explainer.rate_distortion.classifier.model
    names = {module: name for name, module in model.named_modules()}
    columns = tuple(names[stage[-1]] or "the whole network" for stage in randomisation_stages(model))
    metric = Sanity(columns)

    def evaluate(batch: ExplainedBatch) -> Tensor:
        original = batch.explain(method).explanation
        with batch.stopwatch.section(f"explaining by randomised classifiers: {method.shown.label}"):
            target, explanations = original.encoded.target, []
            for explainer in cascading_randomisation(method.explainer):
                with batch.stopwatch.counter.watch(explainer.rate_distortion.classifier):
                    explanations.append(explainer.explain(batch.image, target))
            return metric.evaluate(original, explanations).double()

    return Study("sanity", method.name, columns, evaluate, {"study": "sanity", **method.settings}, shown=method.shown)


def scale_study(rd: RateDistortion, protocol: Protocol) -> Study:
    """How much the classifier needs each scale: distortion where noise replaces that scale alone."""
    columns = scale_columns(rd)

    def evaluate(batch: ExplainedBatch) -> Tensor:
        encoded = rd.encode(batch.image)
        level, images = encoded.layout.level, len(batch.image)
        masks = [(level != scale).to(batch.image.dtype).expand(images, -1) for scale in range(len(columns))]
        outputs = rd.probabilities(encoded, masks, NoiseStreams.evaluation(batch.image), protocol.samples)
        return torch.stack([rd.distortions(encoded, output).mean(1) for output in outputs], 1).double()

    settings = {"study": "scales", "samples": protocol.samples, **provenance(rd)}
    return Study("scales", "without", columns, evaluate, settings)
