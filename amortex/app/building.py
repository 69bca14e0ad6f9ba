"""From options to explainers, and the settings that are written beside their results."""

import argparse
from typing import Any

import torch

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.explainer import Amortized
from amortex.amortized.released import released
from amortex.app.options import AMORTIZED, CLASSIFIER, TRAINED, changed, model_args, own_weights
from amortex.classifiers.classifier import Classifier, load_classifier
from amortex.classifiers.default import DEFAULT_CLASSIFIER
from amortex.core.errors import InputError
from amortex.explainers import METHODS, build_explainer
from amortex.explainers.base import Explainer
from amortex.explainers.baselines import Baseline
from amortex.explainers.presets import PRESETS
from amortex.rate_distortion.problem import Problem

AMORTIZED_OPTIONS = (
    "lambda_k", "rate", "hard", "select_rate", "max_distortion", "learned_steps", "finetune_steps",
)  # fmt: skip


def choose(options: argparse.Namespace) -> None:
    """Settle method and trained explainer where they are left open: in one pass, if there is an explainer for that.

    Raises:
        InputError: there is none, or the method needs none.
    """
    by_name = isinstance(options.classifier, str)
    if options.method in (None, AMORTIZED) and options.explainer is None and by_name and own_weights(options):
        options.explainer = released(options.classifier)
    options.method = options.method or ("cartoonx" if options.explainer is None else AMORTIZED)
    if options.method == AMORTIZED and options.explainer is None:
        which = options.classifier if by_name else "a classifier of your own"
        raise InputError(f"there is no explainer for {which}: train one, and give --explainer FILE")
    if options.method != AMORTIZED and options.explainer is not None:
        raise InputError(f"{options.method} needs no --explainer: leave one of them out")


def build(options: argparse.Namespace) -> Explainer:
    """The explainer that the options ask for."""
    explainer = (_trained if options.method == AMORTIZED else _exact)(options)
    if options.compile:
        if isinstance(explainer, Baseline):
            raise InputError(f"{options.method} reads layers, which compiling hides: leave out --compile")
        explainer.rate_distortion.classifier.compile()
    return explainer


def problem_of(options: argparse.Namespace) -> Problem:
    """What the options say of the classifier and of how masks are measured."""
    name = options.classifier if isinstance(options.classifier, str) else DEFAULT_CLASSIFIER
    entry = METHODS.get(options.method)
    settings = {**vars(options), "classifier": name, "model_args": model_args(options)}
    settings["obfuscation"] = options.obfuscation or (entry.obfuscation if entry else "gaussian")
    return Problem.of(settings | ({"transform": entry.transform} if entry else {}))


def given_classifier(options: argparse.Namespace) -> Classifier | None:
    """The classifier that the options hold instead of its name.

    Raises:
        InputError: as `load_classifier`; options for a classifier that is loaded already.
    """
    if isinstance(options.classifier, str):
        return None
    if isinstance(options.classifier, Classifier):
        given = changed(options, CLASSIFIER)
        if given:
            raise InputError(f"{next(iter(given))} belongs to load_classifier: this classifier is loaded already")
        return options.classifier
    return load_classifier(
        options.classifier, options.weights, options.num_classes, options.class_names, model_args(options),
        input_size=options.input_size, mean=options.mean, std=options.std,
    )  # fmt: skip


def method_options(options: argparse.Namespace) -> dict[str, Any]:
    """Those options of the method that are given.

    Raises:
        InputError: an option of another method is given.
    """
    allowed = AMORTIZED_OPTIONS if options.method == AMORTIZED else METHODS[options.method].options
    known = dict.fromkeys((*(name for entry in METHODS.values() for name in entry.options), *AMORTIZED_OPTIONS))
    given = {name: getattr(options, name) for name in known if getattr(options, name) is not None}
    for name in given:
        if name not in allowed:
            has = ", ".join("--" + other.replace("_", "-") for other in allowed) or "no options of its own"
            raise InputError(
                f"{options.method} has no --{name.replace('_', '-')}; it has {has}; or choose another --method"
            )
    return given


def _trained(options: argparse.Namespace) -> Explainer:
    """The trained explainer of a file, with the classifier it was trained for."""
    given, classifier = method_options(options), given_classifier(options)
    overrides = changed(options, TRAINED if classifier is None else TRAINED[1:])
    if options.input_size is not None:
        overrides["input_size"] = options.input_size
    if changed(options, ["model_args"]):
        overrides["model_args"] = model_args(options)
    overrides |= {"internal_batch_size": options.internal_batch_size, "batch_invariant": options.batch_invariant}
    predictor = load_predictor(options.explainer, overrides.pop("classifier", classifier), **overrides)
    return Amortized(predictor, seed=options.seed, **given)


def _exact(options: argparse.Namespace) -> Explainer:
    """The exact explainer that the options ask for."""
    given = method_options(options)
    rd = problem_of(options).build(given_classifier(options))
    if "preset" in METHODS[options.method].options:
        preset = PRESETS[given.pop("preset", "fast")]
        given["preset"] = preset.but(**{name: given.pop(name, None) for name in ("steps", "samples", "lr")})
    return build_explainer(options.method, rd, seed=options.seed, **given)


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
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"device {name!r} cannot be used here: {first[:120]}; use auto or cpu") from error
    if chosen.type == "meta":
        raise InputError("device 'meta' computes nothing; use auto or cpu")
    return chosen
