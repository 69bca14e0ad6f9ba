"""From options to explainers."""

import argparse
import logging

import torch

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.explainer import Amortized
from amortex.app.checks import OPEN_OPTIONS, PROBLEM_OPTIONS, changed_options, method_arguments
from amortex.app.options import AMORTIZED
from amortex.classifiers.classifier import Classifier
from amortex.classifiers.loading import load_classifier
from amortex.classifiers.size_notice import size_notice
from amortex.core.errors import InputError, first_line
from amortex.explainers import METHODS, build_explainer
from amortex.explainers.base import Explainer
from amortex.explainers.rate_search import Retaining
from amortex.rate_distortion.problem import Problem

logger = logging.getLogger(__name__)
# what `load_classifier` takes besides a module
CLASSIFIER_OPTIONS = ("weights", "num_classes", "class_names", "model_args", "activation", "input_size", "mean", "std")


def explainer_from(options: argparse.Namespace) -> Explainer:
    """The explainer that completed options ask for.

    Raises:
        InputError: a classifier or a trained explainer cannot be loaded, or an argument is refused.
    """
    explainer = (_trained_explainer if options.method == AMORTIZED else _exact_explainer)(options)
    if notice := size_notice(explainer.rate_distortion.classifier):
        logger.warning(notice)
    if options.compile:
        explainer.rate_distortion.classifier.compile()
    return explainer


def _trained_explainer(options: argparse.Namespace) -> Explainer:
    """The trained explainer of a file, with the classifier it was trained for."""
    classifier = _loaded_classifier(options)
    overrides = changed_options(options, PROBLEM_OPTIONS)
    overrides |= {name: getattr(options, name) for name in OPEN_OPTIONS if getattr(options, name) is not None}
    if classifier is not None:
        overrides["classifier"] = classifier
    predictor = load_predictor(options.explainer, **overrides)
    return Amortized(predictor, seed=options.seed, **method_arguments(options))


def _exact_explainer(options: argparse.Namespace) -> Explainer:
    arguments = method_arguments(options)
    entry = METHODS[options.method]
    classifier = _loaded_classifier(options)
    given = {name: value for name in PROBLEM_OPTIONS if (value := getattr(options, name)) is not None}
    problem = Problem.of(
        given | {"transform": entry.transform, "obfuscation": options.obfuscation or entry.obfuscation}
    )
    rate_distortion = problem.build(classifier)
    min_retention = arguments.pop("min_retention", None)
    if min_retention is not None and "rate" in arguments:
        raise InputError("rate and min-retention each choose the rate: give one of them")
    explainer = build_explainer(options.method, rate_distortion, seed=options.seed, **arguments)
    return explainer if min_retention is None else Retaining(explainer, min_retention)


def _loaded_classifier(options: argparse.Namespace) -> Classifier | None:
    """The classifier that the options hold instead of its name.

    Raises:
        InputError: as `load_classifier`; options for a classifier that is loaded already.
    """
    if options.classifier is None or isinstance(options.classifier, str):
        return None
    arguments = changed_options(options, CLASSIFIER_OPTIONS)
    if isinstance(options.classifier, Classifier):
        if arguments:
            raise InputError(f"{next(iter(arguments))} belongs to load_classifier: this classifier is loaded already")
        return options.classifier
    return load_classifier(options.classifier, **arguments)


def device(name: str) -> torch.device:
    """The device meant by a name.

    Raises:
        InputError: it does not exist here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.empty(1, device=chosen)
    except Exception as error:  # unknown names and missing back ends raise several types
        raise InputError(f"device {name!r} cannot be used here: {first_line(error)[:120]}; use auto or cpu") from error
    if chosen.type == "meta":
        raise InputError("device 'meta' computes nothing; use auto or cpu")
    return chosen
