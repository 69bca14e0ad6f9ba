"""The methods by name: a new one is one file and one line in `METHODS`.

The contract test runs each, and the command line offers each by its name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from amortex.core.catalog import check_name, load

if TYPE_CHECKING:
    from amortex.explainers.base import Explainer
    from amortex.rate_distortion.pipeline import RateDistortion


class MethodEntry(NamedTuple):
    """One line of the catalogue.

    Arguments:
        path: where the explainer's class is, ``module:Class``.
        transform: name of the transform that its masks are over, from `amortex.transforms.TRANSFORMS`.
        options: options of the command line that it takes.
        arguments: of its constructor, unless given otherwise.
        kind: how tables and plots present it.
        obfuscation: what its explanations are measured with by default.
    """

    path: str
    transform: str
    options: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = MappingProxyType({})
    kind: Literal["exact", "classical", "trivial"] = "exact"
    obfuscation: str = "gaussian"


RDE_OPTIONS = ("preset", "lambda_k", "steps", "samples", "lr", "init", "spatial_penalty")
SPATIAL_PENALTY = 2.0  # of ShearletX and WaveletX by default
WAM_OPTIONS = ("rate", "samples")
ATTRIBUTIONS = ("saliency", "smoothgrad", "integrated_gradients", "guided_backprop", "lrp", "gradcam", "gradcam_pp",
                "guided_gradcam", "lime")  # fmt: skip


def _ordering(name: str, transform: str) -> MethodEntry:
    return MethodEntry("amortex.explainers.baselines:Ordering", transform, ("rate",), {"name": name}, "trivial")


def _with_spatial_penalty(transform: str) -> MethodEntry:
    return MethodEntry("amortex.explainers.rde:RDE", transform, RDE_OPTIONS, {"spatial_penalty": SPATIAL_PENALTY})


METHODS: dict[str, MethodEntry] = {
    "cartoonx": MethodEntry("amortex.explainers.rde:RDE", "wavelet", RDE_OPTIONS),
    "pixel_rde": MethodEntry("amortex.explainers.rde:RDE", "pixel", RDE_OPTIONS),
    "fourier_rde": MethodEntry("amortex.explainers.rde:RDE", "fourier", RDE_OPTIONS),
    "polar_rde": MethodEntry("amortex.explainers.rde:RDE", "polar", RDE_OPTIONS),
    "shearletx": _with_spatial_penalty("shearlet"),
    "waveletx": _with_spatial_penalty("wavelet"),
    "wam": MethodEntry("amortex.explainers.wam:WAM", "wavelet", WAM_OPTIONS, {"variant": "saliency"}),
    "wam_sg": MethodEntry("amortex.explainers.wam:WAM", "wavelet", WAM_OPTIONS, {"variant": "smoothgrad"}),
    "wam_ig": MethodEntry("amortex.explainers.wam:WAM", "wavelet", WAM_OPTIONS, {"variant": "integrated"}),
    # minimal images set the rest to zero, and are measured as they are made
    "minimal": MethodEntry(
        "amortex.explainers.minimal_image:MinimalImage", "wavelet", ("steps", "lr", "alpha"), obfuscation="zero"
    ),
    "minimal_static": MethodEntry("amortex.explainers.minimal_image:StaticMinimalImage", "wavelet", obfuscation="zero"),
    **{
        name: MethodEntry("amortex.explainers.baselines:Baseline", "pixel", ("rate",), {"name": name}, "classical")
        for name in ATTRIBUTIONS
    },
    "random_pixels": _ordering("random", "pixel"),
    "random_wavelets": _ordering("random", "wavelet"),
    "magnitude": _ordering("magnitude", "wavelet"),
    "sensitivity": _ordering("sensitivity", "wavelet"),
}


def build_explainer(method: str, rate_distortion: "RateDistortion", **arguments: Any) -> "Explainer":
    """The explainer of a method's name; `rate_distortion` must be over the method's transform.

    Raises:
        InputError: an unknown name, or arguments that the explainer refuses.
    """
    entry = METHODS[check_name("method", method, METHODS)]
    explainer: Explainer = load(entry.path)(rate_distortion, **{**entry.arguments, **arguments})
    return explainer
