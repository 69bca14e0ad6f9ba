"""The methods by name: the contract test runs each, the command line offers each."""

from collections.abc import Callable
from typing import Any

from amortex.explainers.base import Explainer
from amortex.explainers.baselines import ATTRIBUTIONS, Baseline, Ordering
from amortex.explainers.minimal_image import MinimalImage, StaticMinimalImage
from amortex.explainers.rde import RDE
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion
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
