"""From options to explainers, and the settings that are written beside their results."""

import argparse
from typing import Any

from amortex.checkpoints import load_predictor
from amortex.classifiers import Classifier, load_classifier
from amortex.explainers import (
    METHODS,
    PRESETS,
    RDE,
    WAM,
    Amortized,
    Baseline,
    Explainer,
    MinimalImage,
    Ordering,
    StaticMinimalImage,
    build_explainer,
)  # fmt: skip
from amortex.obfuscations import OBFUSCATION_NAMES
from amortex.options import TRAINED, model_args, parser
from amortex.rate_distortion import RateDistortion
from amortex.transforms import Fourier, Transform, Wavelet
from amortex.types import InputError

# the options of each kind of explainer; an option that the chosen one does not have is refused
OPTIONS: dict[Any, tuple[str, ...]] = {
    RDE: ("preset", "lambda_k", "steps", "samples", "lr", "init"),
    WAM: ("rate", "samples"),
    Baseline: ("rate",),
    Ordering: ("rate",),
    MinimalImage: ("steps", "lr", "alpha"),
    Amortized: ("lambda_k", "rate", "hard", "measure", "max_distortion", "looks", "refine"),
}


def build_classifier(options: argparse.Namespace) -> Classifier:
    return load_classifier(
        options.classifier,
        options.weights,
        options.num_classes,
        options.class_names,
        model_args(options),
        img_size=options.input_size,
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


def build_amortized(options: argparse.Namespace) -> Explainer:
    """The trained explainer of a file, with the classifier it was trained for."""
    given = given_to(Amortized, options)
    defaults = parser()
    named = {name: getattr(options, name) for name in TRAINED}
    overrides = {name: value for name, value in named.items() if value != defaults.get_default(name)}
    if options.input_size is not None:
        overrides["img_size"] = options.input_size
    overrides["internal_batch_size"] = options.internal_batch_size
    if options.model_args != defaults.get_default("model_args"):
        overrides["model_args"] = model_args(options)
    predictor = load_predictor(options.explainer, **overrides)
    predictor.rate_distortion.batch_invariant = options.batch_invariant
    if options.target != "auto":
        if given.get("looks"):
            raise InputError("refinement is learned for predicted classes: with --target, leave out --looks")
        if not given.keys() & {"rate", "max_distortion"}:
            given["measure"] = True  # rates, too, are guessed for predicted classes only
    return Amortized(predictor, seed=options.seed, **given)


def build(options: argparse.Namespace) -> Explainer:
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
