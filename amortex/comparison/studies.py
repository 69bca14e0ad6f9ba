"""What is measured of an image: each study gives a row of figures, which tables are the means of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from amortex.comparison.bench import Batch, Method
from amortex.core.masks import scale_profile
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.mapped import in_coefficients
from amortex.explaining.provenance import provenance
from amortex.metrics import (
    ClassLeakage,
    ConcisenessPreciseness,
    ExplanationMetric,
    Hallucination,
    InsertionDeletion,
    MuFidelity,
    NoiseOutCurve,
    OperatingPoint,
    RateDistortionCurve,
    Sanity,
    other_classes,
    randomised,
)
from amortex.metrics.classes import stages
from amortex.rate_distortion.pipeline import RateDistortion


@dataclass(frozen=True)
class Protocol:
    """How everything is measured.

    Arguments:
        samples: noise draws per mask.
        insertion_steps: intervals of insertion and deletion.
        subsets: random subsets of mu-fidelity.
    """

    samples: int = 64
    insertion_steps: int = 64
    subsets: int = 128


@dataclass(frozen=True)
class Study:
    """One row of a table.

    Arguments:
        section: the table.
        name: the row.
        columns: names of the figures.
        measure: a batch -> figures ``(B, columns)``.
        settings: everything, beside the image, that determines the figures.
    """

    section: str
    name: str
    columns: tuple[str, ...]
    evaluate: Callable[[Batch], Tensor]
    settings: dict[str, Any]


def figures(study: Study, batch: Batch) -> Tensor:
    """Figures of a batch ``(B, columns)``: from the store where all its images have them, else measured and kept."""
    settings = {**study.settings, "device": batch.device}
    known = [batch.store.figures(digest, settings, study.columns) for digest in batch.digests]
    found = [one for one in known if one is not None]
    if len(found) == len(known):
        return torch.stack(found).to(batch.image.device)
    values = study.evaluate(batch)
    for digest, row in zip(batch.digests, values, strict=True):
        batch.store.keep_figures(digest, settings, study.columns, row)
    return values


class MetricSuite:
    """The metrics of an explanation, of one basis.

    Arguments:
        rd: over that basis.
        protocol: how to measure.
    """

    def __init__(self, rd: RateDistortion, protocol: Protocol) -> None:
        p = protocol
        self.curves: list[ExplanationMetric] = [
            RateDistortionCurve(rd, samples=p.samples),
            NoiseOutCurve(rd, samples=p.samples),
            InsertionDeletion(rd, p.insertion_steps),
            MuFidelity(rd, p.subsets),
        ]
        self.protocol, self.rd = protocol, rd

    def masks(self, lambda_k: float) -> list[ExplanationMetric]:
        """Those of masks as they are."""
        return [
            OperatingPoint(self.rd, lambda_k, self.protocol.samples),
            ConcisenessPreciseness(self.rd),
            Hallucination(self.rd),
        ]


def columns_of(metrics: Sequence[ExplanationMetric]) -> tuple[str, ...]:
    return tuple(name for metric in metrics for name in metric.columns)


def native(method: Method, suite: MetricSuite, lambda_k: float) -> Study:
    """A method in the basis that its masks are over: curves, masks, what it took, and where its relevance lies.

    `lambda_k` is that of the objective of methods that have none of their own.
    """
    metrics = [*suite.curves, *suite.masks(lambda_k if method.lambda_k is None else method.lambda_k)]
    rd = method.explainer.rate_distortion
    layout = rd.transform.layout(rd.classifier.input_size[1:])
    levels = int(layout.level.max())
    scales = tuple(f"scale_{level}" for level in range(levels + 1)) if levels else ()

    def evaluate(batch: Batch) -> Tensor:
        made = batch.explain(method)
        with batch.watch.section(f"measuring: {method.name}"):
            figures = [metric.evaluate(made.explanation).double() for metric in metrics]
            if scales:
                level = made.explanation.encoded.layout.level
                profile = scale_profile(made.explanation.importance, level, levels).double()
                figures.append(profile.where(profile.sum(1, keepdim=True) > 0, torch.nan))  # of an empty mask
            return torch.cat([*figures, made.seconds[:, None], made.passes[:, None]], 1)

    settings = {"study": "native", "protocol": vars(suite.protocol), "lambda_k": lambda_k, **method.settings}
    return Study("native", method.name, (*columns_of(metrics), *scales, "seconds", "passes"), evaluate, settings)


def mapped(method: Method, suite: MetricSuite) -> Study:
    """A pixel method as an order of coefficients."""

    def evaluate(batch: Batch) -> Tensor:
        explanation = batch.explain(method).explanation
        with batch.watch.section(f"measuring: {method.name}"):
            explanation = in_coefficients(explanation, suite.rd)
            return torch.cat([metric.evaluate(explanation).double() for metric in suite.curves], 1)

    settings = {"study": "mapped", "protocol": vars(suite.protocol), **method.settings}
    settings["measured_in"] = suite.rd.transform.settings()
    return Study("mapped", method.name, columns_of(suite.curves), evaluate, settings)


def leakage(method: Method, protocol: Protocol) -> Study:
    """Class leakage of a method, which may explain other classes otherwise than predicted ones."""
    metric = ClassLeakage(method.explainer.rate_distortion, protocol.samples)
    asked = replace(method, explainer=method.explainer.for_target())

    def evaluate(batch: Batch) -> Tensor:
        own = batch.explain(method).explanation
        other = batch.explain(asked, other_classes(own.encoded)).explanation
        return metric.evaluate(own, other).double()

    settings = {"study": "leakage", "samples": protocol.samples, **method.settings, "other": asked.settings}
    return Study("leakage", method.name, metric.columns, evaluate, settings)


def sanity(method: Method) -> Study:
    """Cascading randomisation of the classifier beneath a method."""
    model = method.explainer.rate_distortion.classifier.model
    names = {module: name for name, module in model.named_modules()}
    columns = tuple(names[stage[-1]] or "the whole network" for stage in stages(model))
    metric = Sanity(columns)

    def evaluate(batch: Batch) -> Tensor:
        original = batch.explain(method).explanation
        with batch.watch.section(f"explaining by randomised classifiers: {method.name}"):
            target = original.encoded.target
            changed = [other.explain(batch.image, target) for other in randomised(method.explainer)]
            return metric.evaluate(original, changed).double()

    return Study("sanity", method.name, columns, evaluate, {"study": "sanity", **method.settings})


def scales(rd: RateDistortion, protocol: Protocol) -> Study:
    """How much the classifier needs each scale: distortion where noise replaces that scale alone."""
    layout = rd.transform.layout(rd.classifier.input_size[1:])
    levels = int(layout.level.max()) + 1

    def evaluate(batch: Batch) -> Tensor:
        encoded = rd.encode(batch.image)
        level = encoded.layout.level
        masks = [(level != one).to(batch.image.dtype).expand(len(batch.image), -1) for one in range(levels)]
        streams = NoiseStreams.evaluation(batch.image)
        outputs = rd.probabilities(encoded, masks, streams, protocol.samples)
        return torch.stack([rd.distortions(encoded, one).mean(1) for one in outputs], 1).double()

    settings = {"study": "scales", "samples": protocol.samples, **provenance(rd)}
    return Study("scales", "without", tuple(f"scale_{level}" for level in range(levels)), evaluate, settings)


def variants(
    method: Callable[..., Method], grid: dict[str, Sequence[Any]], protocol: Protocol
) -> Iterator[tuple[Study, Method]]:
    """A study per setting of CartoonX (Fig. 8): each entry of `grid` is varied alone."""
    for parameter, values in grid.items():
        for value in values:
            one = method(name=f"{parameter} = {value:g}" if isinstance(value, float) else f"{parameter} = {value}",
                         **{parameter: value})  # fmt: skip
            point = OperatingPoint(one.explainer.rate_distortion, one.lambda_k or 0.0, protocol.samples)

            def evaluate(batch: Batch, one: Method = one, point: OperatingPoint = point) -> Tensor:
                return point.evaluate(batch.explain(one).explanation).double()

            settings = {"study": "grid", "samples": protocol.samples, **one.settings}
            yield Study("grid", one.name, point.columns, evaluate, settings), one
