"""The methods by name: a new one is one file and one line in `METHODS`.

The contract test runs each, and the command line offers each by its name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from amortex.core.catalog import check_name, load
from amortex.explainers.presets import preset_of

if TYPE_CHECKING:
    from amortex.explainers.base import Explainer
    from amortex.rate_distortion.pipeline import RateDistortion


class MethodEntry(NamedTuple):
    """One line of the catalogue.

    Arguments:
        path: where the explainer's class is, ``module:Class``.
        transform: name of the transform that its masks are over, from `amortex.transforms.TRANSFORMS`.
        options: options of the command line that it takes.
        arguments: of its constructor; those that are `options`, too, are defaults.
        kind: how tables and plots present it.
        obfuscation: what its explanations are measured with by default; None: what suits the kind of signals.
        label: what people read: plots, tables and galleries show it. Without one, they show the name.
    """

    path: str
    transform: str
    options: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = MappingProxyType({})
    kind: Literal["exact", "classical", "trivial"] = "exact"
    obfuscation: str | None = None
    label: str = ""


RDE_OPTIONS = ("preset", "lambda_k", "steps", "samples", "lr", "init", "spatial_penalty")
SPATIAL_PENALTY = 2.0  # of ShearletX and WaveletX by default
WAM_OPTIONS = ("rate", "samples")
ATTRIBUTIONS = {
    "saliency": "Saliency",
    "smoothgrad": "SmoothGrad",
    "integrated_gradients": "Integrated Gradients",
    "guided_backprop": "Guided Backprop",
    "lrp": "LRP",
    "gradcam": "Grad-CAM",
    "gradcam_pp": "Grad-CAM++",
    "guided_gradcam": "Guided Grad-CAM",
    "lime": "LIME",
}  # and their labels


def _rde(transform: str, label: str, **arguments: Any) -> MethodEntry:
    return MethodEntry("amortex.explainers.rde:RDE", transform, RDE_OPTIONS, arguments, label=label)


def _wam(variant: str, label: str) -> MethodEntry:
    return MethodEntry("amortex.explainers.wam:WAM", "wavelet", WAM_OPTIONS, {"variant": variant}, label=label)


def _ordering(name: str, transform: str, label: str) -> MethodEntry:
    path = "amortex.explainers.baselines:Ordering"
    return MethodEntry(path, transform, ("rate",), {"name": name}, "trivial", label=label)


METHODS: dict[str, MethodEntry] = {
    "cartoonx": _rde("wavelet", "CartoonX"),
    "pixel_rde": _rde("pixel", "Pixel RDE"),
    "fourier_rde": _rde("fourier", "Fourier RDE"),
    "polar_rde": _rde("polar", "Polar RDE"),
    "shearletx": _rde("shearlet", "ShearletX", spatial_penalty=SPATIAL_PENALTY),
    "waveletx": _rde("wavelet", "WaveletX", spatial_penalty=SPATIAL_PENALTY),
    "wam": _wam("saliency", "WAM"),
    "wam_sg": _wam("smoothgrad", "WAM-SG"),
    "wam_ig": _wam("integrated", "WAM-IG"),
    # minimal images set the rest to zero, and are measured as they are made
    "minimal": MethodEntry(
        "amortex.explainers.minimal_image:MinimalImage",
        "wavelet",
        ("steps", "lr", "alpha"),
        obfuscation="zero",
        label="Minimal image",
    ),
    "minimal_static": MethodEntry(
        "amortex.explainers.minimal_image:StaticMinimalImage",
        "wavelet",
        obfuscation="zero",
        label="Minimal image (static)",
    ),
    **{
        name: MethodEntry(
            "amortex.explainers.baselines:Baseline", "pixel", ("rate",), {"name": name}, "classical", label=label
        )
        for name, label in ATTRIBUTIONS.items()
    },
    "random_pixels": _ordering("random", "pixel", "Random pixels"),
    "random_wavelets": _ordering("random", "wavelet", "Random"),
    "magnitude": _ordering("magnitude", "wavelet", "Magnitude"),
    "sensitivity": _ordering("sensitivity", "wavelet", "Sensitivity"),
}


def build_explainer(method: str, rate_distortion: "RateDistortion", **arguments: Any) -> "Explainer":
    """The explainer of a method's name and of its options; `rate_distortion` must be over the method's transform.

    Raises:
        InputError: an unknown name, or arguments that the explainer refuses.
    """
    entry = METHODS[check_name("method", method, METHODS)]
    if "preset" in entry.options:  # steps, samples and lr are changes of the preset
        preset = arguments.get("preset", "fast")
        if isinstance(preset, str):
            preset = preset_of(preset, len(rate_distortion.classifier.input_size) - 1)
        changes = {name: arguments.pop(name, None) for name in ("steps", "samples", "lr")}
        arguments["preset"] = preset.but(**changes)
    fixed = {name: value for name, value in entry.arguments.items() if name not in (arguments.keys() & entry.options)}
    explainer: Explainer = load(entry.path)(rate_distortion, **fixed, **arguments)
    return explainer
