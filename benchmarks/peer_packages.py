"""Methods of other packages as explainers over pixels: what the benchmark `peers` measures beside amortex."""

import importlib
import warnings
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from importlib.metadata import version
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import Explainer, Explanation, OnStep, ranking
from amortex.explainers.modified_backprop import last_layer
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from benchmarks.peer_attributions import (
    BATCH_SIZE,
    PROTOCOL,
    SURROGATE_SAMPLES,
    Case,
    by_captum,
    by_gradcam,
    by_saliency,
    by_superpixels,
    lrp,
    occlusion,
    rise,
    smoothgrad,
)

Family = Literal["gradient", "activation map", "perturbation"]
Sign = Literal["absolute", "positive"]
MODULES = {"captum": "captum.attr", "grad-cam": "pytorch_grad_cam", "zennit": "zennit.composites",
           "saliency": "saliency.core", "xaitk-saliency": "xaitk_saliency.impls.perturb_image.rise"}  # fmt: skip


class Peer(NamedTuple):
    """A method of a package.

    Arguments:
        package: its name in the registry.
        family: what the method computes with.
        attribution: of a case: ``(C, H, W)``, or ``(1, H, W)`` for maps.
        signs: what may make an order: absolute values, or positive evidence alone where the method has signs.
    """

    package: str
    family: Family
    attribution: Callable[[Case], Tensor]
    signs: tuple[Sign, ...] = ("absolute",)

    def version(self) -> str:
        """Of the package; raises InputError where it cannot be imported."""
        try:
            importlib.import_module(MODULES[self.package])
        except ImportError as error:
            raise InputError(f"{self.package} is left out ({error}): pip install 'amortex[peers]'") from error
        return version(self.package)


class PackageAttribution(Explainer):
    """A peer as an explainer over pixels, which orders them by the sum over channels of the absolute attribution.

    Arguments:
        rate_distortion: over pixels; its classifier is explained.
        name: of the peer in `PEERS`.
        seed: of the run.

    Raises:
        InputError: its package is missing; when explaining, the package fails on this classifier.
    """

    def __init__(self, rate_distortion: RateDistortion, name: str, seed: int = 0) -> None:
        super().__init__(rate_distortion, seed)
        self.name, self.peer = name, PEERS[name]
        self.version = self.peer.version()

    @cached_property
    def layer(self) -> nn.Module:
        """The module that makes the last feature maps, which users of Grad-CAM name themselves."""
        classifier = self.rate_distortion.classifier
        with classifier.uncounted():
            return last_layer(classifier, torch.full((1, *classifier.input_size), 0.5))

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        classifier, maps = self.rate_distortion.classifier, []
        for index, (seed, target) in enumerate(zip(streams.seeds, encoded.target.tolist(), strict=True)):
            case = Case(classifier, encoded.image[index : index + 1], target, seed, lambda: self.layer)
            # packages draw from the global generators, and warn of what they do themselves
            with torch.random.fork_rng(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.manual_seed(seed)
                np.random.seed(seed % 2**32)
                try:
                    maps.append(self.peer.attribution(case).detach().float())
                except InputError:
                    raise
                except Exception as error:  # any type: it is the package's
                    why = " ".join(str(error).split())[:150]
                    raise InputError(f"{self.name} is left out: {type(error).__name__}: {why}") from error
        attribution = torch.stack(maps)
        signed = attribution.sum(1).flatten(1) if "positive" in self.peer.signs else None
        return ranking(encoded, attribution.abs().sum(1).flatten(1), 0.05, signed, on_step)

    def settings(self) -> dict[str, str | int | float]:
        return {**super().settings(), "name": self.name, "version": self.version, "protocol": repr(PROTOCOL)}


# positive evidence is how users of perturbation methods read signs; gradients are read in both ways
BOTH: tuple[Sign, ...] = ("absolute", "positive")
PEERS: Mapping[str, Peer] = {
    "captum Saliency": Peer("captum", "gradient", partial(by_captum, "Saliency")),
    "captum SmoothGrad": Peer("captum", "gradient", smoothgrad),
    "captum IntegratedGradients": Peer(
        "captum", "gradient", partial(by_captum, "IntegratedGradients", internal_batch_size=BATCH_SIZE), BOTH
    ),
    "captum Occlusion": Peer("captum", "perturbation", occlusion, ("positive",)),
    "captum FeatureAblation": Peer("captum", "perturbation", partial(by_superpixels, "FeatureAblation"), ("positive",)),
    "captum Lime": Peer(
        "captum", "perturbation", partial(by_superpixels, "Lime", n_samples=SURROGATE_SAMPLES), ("positive",)
    ),
    "captum KernelShap": Peer(
        "captum", "perturbation", partial(by_superpixels, "KernelShap", n_samples=SURROGATE_SAMPLES), ("positive",)
    ),
    "grad-cam GradCAM": Peer("grad-cam", "activation map", partial(by_gradcam, "GradCAM")),
    "grad-cam GradCAMPlusPlus": Peer("grad-cam", "activation map", partial(by_gradcam, "GradCAMPlusPlus")),
    "grad-cam EigenCAM": Peer("grad-cam", "activation map", partial(by_gradcam, "EigenCAM")),
    "grad-cam ScoreCAM": Peer("grad-cam", "perturbation", partial(by_gradcam, "ScoreCAM")),
    "zennit LRP": Peer("zennit", "gradient", lrp, BOTH),
    "saliency XRAI": Peer("saliency", "gradient", partial(by_saliency, "XRAI", batch_size=BATCH_SIZE)),
    "xaitk-saliency RISE": Peer("xaitk-saliency", "perturbation", rise),
}
