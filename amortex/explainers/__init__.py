"""Exact explainers and baselines; the contract test runs all in `METHODS`, the command line offers them by name."""

from collections.abc import Callable
from typing import Any

from amortex.explainers.amortized import Amortized
from amortex.explainers.base import Explainer, Explanation, picture
from amortex.explainers.baselines import ATTRIBUTIONS, Baseline, Ordering
from amortex.explainers.minimal_image import MinimalImage, StaticMinimalImage
from amortex.explainers.rde import PRESETS, RDE, Preset
from amortex.explainers.wam import WAM, scale_profile
from amortex.rate_distortion import RateDistortion
from amortex.transforms import Fourier, Pixel, Transform, Wavelet

# name -> the explainer, its fixed arguments, and the transform that its masks are over
METHODS: dict[str, tuple[Callable[..., Explainer], dict[str, Any], type[Transform]]] = {
    "cartoonx": (RDE, {}, Wavelet),
    "pixel_rde": (RDE, {}, Pixel),
    "fourier_rde": (RDE, {}, Fourier),
    "wam": (WAM, {"variant": "saliency"}, Wavelet),
    "wam_sg": (WAM, {"variant": "smoothgrad"}, Wavelet),
    "wam_ig": (WAM, {"variant": "integrated"}, Wavelet),
    "minimal": (MinimalImage, {}, Wavelet),
    "minimal_static": (StaticMinimalImage, {}, Wavelet),
    **{name: (Baseline, {"name": name}, Pixel) for name in ATTRIBUTIONS},
    "random_pixels": (Ordering, {"name": "random"}, Pixel),
    "random_wavelets": (Ordering, {"name": "random"}, Wavelet),
    "magnitude": (Ordering, {"name": "magnitude"}, Wavelet),
    "sensitivity": (Ordering, {"name": "sensitivity"}, Wavelet),
}


def build_explainer(method: str, rate_distortion: RateDistortion, **arguments: Any) -> Explainer:
    """The explainer of a method name; `rate_distortion` must be over the method's transform."""
    kind, fixed, _ = METHODS[method]
    return kind(rate_distortion, **fixed, **arguments)


__all__ = [
    "METHODS",
    "PRESETS",
    "RDE",
    "WAM",
    "Amortized",
    "Baseline",
    "Explainer",
    "Explanation",
    "MinimalImage",
    "Ordering",
    "Preset",
    "StaticMinimalImage",
    "build_explainer",
    "picture",
    "scale_profile",
]
