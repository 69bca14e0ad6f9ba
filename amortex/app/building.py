"""From options to explainers, and the settings that are written beside their results."""

import argparse
from typing import Any

import torch

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.explainer import Amortized
from amortex.amortized.released import released
from amortex.app.options import AMORTIZED, CLASSIFIER, TRAINED, changed, model_args, own_weights
from amortex.classifiers.classifier import Classifier, load_classifier
from amortex.core.errors import InputError
from amortex.explainers import (
    METHODS,
    PRESETS,
    RDE,
    WAM,
    Baseline,
    Explainer,
    MinimalImage,
    Ordering,
    StaticMinimalImage,
    build_explainer,
)
from amortex.obfuscations import OBFUSCATION_NAMES
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms import Fourier, Transform, Wavelet

# the options of each kind of explainer; an option that the chosen one does not have is refused
OPTIONS: dict[Any, tuple[str, ...]] = {
    RDE: ("preset", "lambda_k", "steps", "samples", "lr", "init"),
    WAM: ("rate", "samples"),
    Baseline: ("rate",),
    Ordering: ("rate",),
    MinimalImage: ("steps", "lr", "alpha"),
    Amortized: ("lambda_k", "rate", "hard", "select_rate", "max_distortion", "learned_steps", "finetune_steps"),
}


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


def build_classifier(options: argparse.Namespace) -> Classifier:
    """The classifier that the options name or hold.

    Raises:
        InputError: as `load_classifier`; options for a classifier that is loaded already.
    """
    if isinstance(options.classifier, Classifier):
        given = changed(options, CLASSIFIER)
        if given:
            raise InputError(f"{next(iter(given))} belongs to load_classifier: this classifier is loaded already")
        return options.classifier
    return load_classifier(
        options.classifier,
        options.weights,
        options.num_classes,
        options.class_names,
        model_args(options),
        input_size=options.input_size,
        mean=options.mean,
        std=options.std,
    )


def given_to(kind: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Those options of this kind of explainer that are given.

    Raises:
        InputError: an option of another kind is given.
    """
    allowed, given = OPTIONS.get(kind, ()), {}
    for name in dict.fromkeys(name for names in OPTIONS.values() for name in names):
        value = getattr(options, name)
        if value is None:
            continue
        if name not in allowed:
            has = ", ".join("--" + other.replace("_", "-") for other in allowed) or "no options of its own"
            raise InputError(
                f"{options.method} has no --{name.replace('_', '-')}; it has {has}; or choose another --method"
            )
        given[name] = value
    return given


def _trained(options: argparse.Namespace) -> Explainer:
    """The trained explainer of a file, with the classifier it was trained for."""
    given = given_to(Amortized, options)
    built = None if isinstance(options.classifier, str) else build_classifier(options)
    overrides = changed(options, TRAINED if built is None else TRAINED[1:])
    if options.input_size is not None:
        overrides["input_size"] = options.input_size
    overrides["internal_batch_size"] = options.internal_batch_size
    if changed(options, ["model_args"]):
        overrides["model_args"] = model_args(options)
    predictor = load_predictor(options.explainer, built, **overrides)
    predictor.rate_distortion.batch_invariant = options.batch_invariant
    return Amortized(predictor, seed=options.seed, **given)


def _exact(options: argparse.Namespace) -> Explainer:
    """The exact explainer that the options ask for."""
    kind, _, transform_kind = METHODS[options.method]
    given = given_to(kind, options)
    classifier = build_classifier(options)
    transform: Transform = transform_kind()
    if transform_kind is Wavelet:
        transform = Wavelet(options.wavelet, options.levels, options.padding)
    elif transform_kind is Fourier:
        transform = Fourier(options.levels)
    transform.layout(classifier.input_size[1:])  # refuses what is not exact before anything is written
    # minimal images set the rest to zero, and are measured as they are made
    obfuscation = options.obfuscation or ("zero" if kind in (MinimalImage, StaticMinimalImage) else "gaussian")
    rd = RateDistortion(
        classifier,
        transform,
        OBFUSCATION_NAMES[obfuscation](),
        options.distortion,
        options.internal_batch_size,
        options.batch_invariant,
    )
    if kind is RDE:
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
