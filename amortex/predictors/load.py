"""Predictors from plain settings: what configurations, checkpoints and releases hold."""

from typing import Any

from amortex.classifiers import Classifier, load_classifier
from amortex.obfuscations import OBFUSCATION_NAMES
from amortex.predictors.predictor import MaskPredictor
from amortex.rate_distortion import RateDistortion
from amortex.transforms import Wavelet
from amortex.types import InputError


def build_predictor(settings: dict[str, Any], classifier: Classifier | None = None) -> MaskPredictor:
    """The untrained predictor of an `AmortizedExplainer`'s hyper-parameters, with the `classifier` unless it is built.

    Raises:
        InputError: what the classifier, the transform or the predictor refuse, and unknown obfuscations.
    """
    if classifier is None:
        classifier = load_classifier(
            settings["classifier"],
            settings["weights"],
            settings["num_classes"],
            settings["class_names"],
            settings["model_args"],
            img_size=settings["img_size"],
            mean=settings["mean"],
            std=settings["std"],
        )
    if settings["obfuscation"] not in OBFUSCATION_NAMES:
        raise InputError(f"unknown obfuscation {settings['obfuscation']!r}: use one of {', '.join(OBFUSCATION_NAMES)}")
    transform = Wavelet(settings["wavelet"], settings["levels"], settings["padding"])
    transform.layout(classifier.input_size[1:])  # refuses what is not exact
    rd = RateDistortion(
        classifier,
        transform,
        OBFUSCATION_NAMES[settings["obfuscation"]](),
        settings["distortion"],
        settings["internal_batch_size"],
    )
    chosen = {name: settings[name] for name in ("features", "gradient", "width", "condition")}
    return MaskPredictor(rd, encoder=settings.get("encoder"), **chosen)
