"""Scales that explanations lie at, and how several classifiers differ in them (WAM, Figure 10)."""

from dataclasses import replace

import torch
from torch import Tensor

from amortex.classifiers.classifier import Classifier
from amortex.comparison.config import ComparisonConfig
from amortex.comparison.explained_batch import ExplainedBatch
from amortex.comparison.methods import Method
from amortex.comparison.study import Study
from amortex.core.errors import InputError
from amortex.core.masks import scale_profile
from amortex.explainers.base import Explanation
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.problem import Problem


def build_classifiers(config: ComparisonConfig, problem: Problem, classifier: Classifier) -> dict[str, Classifier]:
    """The classifiers of the section ``robustness``, by name; their inputs are those of the compared classifier.

    Raises:
        InputError: one of them cannot be built.
    """
    if "robustness" not in config.sections:
        return {}
    alike = replace(problem, input_size=list(classifier.input_size))
    fields = (config.classifiers or {}).items()
    return {name: replace(alike, **changes).build_classifier() for name, changes in fields}


def scale_columns(rd: RateDistortion) -> tuple[str, ...]:
    """``scale_0`` (the low-pass), ``scale_1`` (the finest), ... of the transform; one alone where it has no scales."""
    layout = rd.transform.layout(rd.classifier.input_size[1:])
    return tuple(f"scale_{level}" for level in range(int(layout.level.max()) + 1))


def profile_of(explanation: Explanation) -> Tensor:
    """Share of the importance at each scale, ``(B, scales)`` float64; NaN for an empty mask, which has none."""
    level = explanation.encoded.layout.level
    profile = scale_profile(explanation.importance, level, int(level.max())).double()
    return profile.where(profile.sum(1, keepdim=True) > 0, torch.nan)


def profile_study(method: Method, reference: Method) -> Study:
    """The scale profile of a method's explanations of one classifier, and how it differs from that of another.

    Columns: the share of each scale; ``coarse``, that of the two coarsest, the low-pass and the last level; and, unless
    the method is the reference, ``coarse_difference``, the difference of ``coarse`` on the same image.

    Arguments:
        method: on the classifier in question.
        reference: the same on the classifier that it is compared with.

    Raises:
        InputError: the method's transform has no scales.
    """
    scales = scale_columns(method.explainer.rate_distortion)
    if len(scales) == 1:
        raise InputError(f"it has no scales, since its masks are over {method.transform.name}s")
    paired = method is not reference

    def evaluate(batch: ExplainedBatch) -> Tensor:
        profile = _profile(batch, method)
        columns = [profile, _coarse(profile)]
        if paired:
            columns.append(_coarse(profile) - _coarse(_profile(batch, reference)))
        return torch.cat(columns, 1)

    columns = (*scales, "coarse", *(["coarse_difference"] if paired else []))
    settings = {"study": "robustness", **method.settings, "reference": reference.settings}
    return Study("robustness", method.name, columns, evaluate, settings, shown=method.shown)


def _profile(batch: ExplainedBatch, method: Method) -> Tensor:
    """The profiles ``(B, scales)`` of the images of a batch."""
    with batch.stopwatch.counter.watch(method.explainer.rate_distortion.classifier):
        return profile_of(batch.explain(method).explanation)


def _coarse(profile: Tensor) -> Tensor:
    """The share ``(B, 1)`` of the low-pass and of the coarsest level."""
    return profile[:, [0, -1]].sum(1, keepdim=True)
