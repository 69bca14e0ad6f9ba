"""Predictors from plain settings: what configurations, checkpoints and releases hold."""

from collections.abc import Mapping
from typing import Any

from amortex.amortized.predictor import MaskPredictor
from amortex.classifiers.classifier import Classifier, load_classifier
from amortex.core.errors import InputError
from amortex.obfuscations import OBFUSCATION_NAMES
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms import Transform, Wavelet


def build_classifier(settings: Mapping[str, Any]) -> Classifier:
    """The classifier that settings name."""
    names = ("classifier", "weights", "num_classes", "class_names", "model_args")
    config = {name: settings[name] for name in ("input_size", "mean", "std")}
    return load_classifier(*(settings[name] for name in names), **config)


def build_rate_distortion(settings: Mapping[str, Any], classifier: Classifier, transform: Transform) -> RateDistortion:
    """Obfuscation, distortion and chunks as settings say.

    Raises:
        InputError: an unknown obfuscation or distortion.
    """
    name = settings["obfuscation"]
    if name not in OBFUSCATION_NAMES:
        raise InputError(f"unknown obfuscation {name!r}: use one of {', '.join(OBFUSCATION_NAMES)}")
    obfuscation = OBFUSCATION_NAMES[name]()
    return RateDistortion(classifier, transform, obfuscation, settings["distortion"], settings["internal_batch_size"])


def build_predictor(settings: dict[str, Any], classifier: Classifier | None = None) -> MaskPredictor:
    """The untrained predictor of an `AmortizedTrainingModule`'s hyper-parameters, with the `classifier` unless it is built.

    Raises:
        InputError: what the classifier, the transform or the predictor refuse, and unknown obfuscations.
    """
    classifier = classifier or build_classifier(settings)
    transform = Wavelet(settings["wavelet"], settings["levels"], settings["padding"])
    transform.layout(classifier.input_size[1:])  # refuses what is not exact
    rd = build_rate_distortion(settings, classifier, transform)
    chosen = {name: settings[name] for name in ("features", "gradient", "width", "condition")}
    refiner = settings.get("refine_steps", 0) > 0
    return MaskPredictor(rd, encoder=settings.get("encoder"), refiner=refiner, **chosen)
