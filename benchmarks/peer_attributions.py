"""Pixel attributions by other packages: each is called as its documentation shows.

They get the network that takes normalised images, zero (the mean colour) for what is removed, and their own defaults
where they have any. An attribution is ``(C, H, W)``, or ``(1, H, W)`` where a method makes maps.
"""

import importlib
import io
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from amortex.classifiers.classifier import Classifier
from amortex.explainers.modified_backprop import relevance_propagation

BATCH_SIZE = 16  # of passes where a method makes many
SMOOTHGRAD_SAMPLES, SMOOTHGRAD_SPREAD = 25, 0.15  # the spread as a share of the range (Smilkov et al. 2017)
WINDOWS, SHIFT = 7, 2  # an occluding window's side is a 7th of the image's, and it moves by half of itself
SEGMENTS, SURROGATE_SAMPLES = 50, 500  # superpixels; samples of LIME and Kernel SHAP
RISE_MASKS, RISE_CELLS, RISE_KEPT = 4000, 7, 0.5  # of the paper (Petsiuk et al. 2018)
PROTOCOL = (BATCH_SIZE, SMOOTHGRAD_SAMPLES, SMOOTHGRAD_SPREAD, WINDOWS, SHIFT, SEGMENTS, SURROGATE_SAMPLES, RISE_MASKS,
            RISE_CELLS, RISE_KEPT)  # fmt: skip


class Normalised(nn.Module):
    """The network of a classifier, from normalised images ``(B, C, H, W)`` to logits; its passes are counted."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier.forward_normalised(x)


@dataclass(frozen=True)
class Case:
    """One image to explain, as packages want it.

    Arguments:
        classifier: that classifies it.
        image: ``(1, C, H, W)`` in [0, 1].
        target: its class.
        seed: of what is random.
        layer: finds the module that makes the last feature maps.
    """

    classifier: Classifier
    image: Tensor
    target: int
    seed: int
    layer: Callable[[], nn.Module]

    @cached_property
    def network(self) -> Normalised:
        return Normalised(self.classifier)

    @cached_property
    def inputs(self) -> Tensor:
        """The image, normalised."""
        return self.classifier.normalise(self.image).detach()

    @cached_property
    def segments(self) -> np.ndarray[Any, Any]:
        """SLIC superpixels ``(H, W)``, counted from 0."""
        from skimage.segmentation import slic

        return slic(self.image[0].permute(1, 2, 0).double().numpy(), SEGMENTS, start_label=0)


def by_captum(name: str, case: Case, **options: Any) -> Tensor:
    """The attribution of a class of Captum's."""
    method = getattr(importlib.import_module("captum.attr"), name)(case.network)
    attribution: Tensor = method.attribute(case.inputs, target=case.target, **options)
    return attribution[0]


def smoothgrad(case: Case) -> Tensor:
    attr = importlib.import_module("captum.attr")
    spread = SMOOTHGRAD_SPREAD * (case.inputs.max() - case.inputs.min()).item()
    tunnel = attr.NoiseTunnel(attr.Saliency(case.network))
    attribution: Tensor = tunnel.attribute(
        case.inputs, nt_type="smoothgrad", nt_samples=SMOOTHGRAD_SAMPLES, nt_samples_batch_size=BATCH_SIZE,
        stdevs=spread, target=case.target, abs=False,
    )  # fmt: skip
    return attribution[0]


def occlusion(case: Case) -> Tensor:
    channels, height, width = case.inputs.shape[1:]
    window = (channels, max(1, height // WINDOWS), max(1, width // WINDOWS))
    strides = (channels, max(1, window[1] // SHIFT), max(1, window[2] // SHIFT))
    return by_captum(
        "Occlusion", case, sliding_window_shapes=window, strides=strides, perturbations_per_eval=BATCH_SIZE
    )


def by_superpixels(name: str, case: Case, **options: Any) -> Tensor:
    """A perturbation method of Captum's over SLIC superpixels: ``(1, H, W)``, the channels share one value."""
    segments = torch.from_numpy(case.segments)[None, None]
    attribution = by_captum(name, case, feature_mask=segments, perturbations_per_eval=BATCH_SIZE, **options)
    return attribution[:1]


def by_gradcam(name: str, case: Case) -> Tensor:
    """A class activation map of pytorch-grad-cam's."""
    package = importlib.import_module("pytorch_grad_cam")
    target = importlib.import_module("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget(case.target)
    inputs = case.inputs.clone().requires_grad_()  # the network is frozen, and its maps would have no gradient
    with getattr(package, name)(case.network, [case.layer()]) as method, redirect_stderr(io.StringIO()):  # its bar
        return torch.from_numpy(method(inputs, [target]))


def lrp(case: Case) -> Tensor:
    return relevance_propagation(case.classifier, case.image, torch.tensor([case.target]))[0]


def by_saliency(name: str, case: Case, **options: Any) -> Tensor:
    """A map by a method of PAIR's saliency, which calls the network on arrays ``(B, H, W, C)``; from zero on."""
    package = importlib.import_module("saliency.core")

    def call(arrays: Any, call_model_args: Any, expected_keys: Any) -> dict[str, Any]:
        inputs = torch.from_numpy(np.asarray(arrays, dtype=np.float32)).permute(0, 3, 1, 2).requires_grad_()
        score = case.network(inputs).softmax(1)[:, case.target].sum()
        (gradient,) = torch.autograd.grad(score, inputs)
        return {package.base.INPUT_OUTPUT_GRADIENTS: gradient.permute(0, 2, 3, 1).numpy()}

    array = case.inputs[0].permute(1, 2, 0).numpy()
    made = torch.from_numpy(np.asarray(getattr(package, name)().GetMask(array, call, **options), dtype=np.float32))
    return (made - made.min())[None]


@torch.no_grad()
def rise(case: Case) -> Tensor:
    masking = importlib.import_module("xaitk_saliency.impls.perturb_image.rise")
    scoring = importlib.import_module("xaitk_saliency.impls.gen_classifier_conf_sal.rise_scoring")
    masks = masking.RISEGrid(RISE_MASKS, RISE_CELLS, RISE_KEPT, case.seed % 2**32, threads=0).perturb(
        case.image[0].permute(1, 2, 0).numpy()
    )
    scores = [case.network(case.inputs * chunk[:, None]).softmax(1)[:, case.target, None]
              for chunk in torch.from_numpy(masks).split(BATCH_SIZE)]  # fmt: skip
    made = torch.from_numpy(scoring.RISEScoring(RISE_KEPT).generate(np.empty(1), torch.cat(scores).numpy(), masks))
    return made - made.min()
