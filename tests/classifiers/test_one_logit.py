"""Classifiers of one logit, trained with binary cross-entropy: explained as the two logits ``[0, y]``."""

import copy

import pytest
import timm
import torch
from torch import nn

import amortex
from amortex.amortized.predictor import MaskPredictor
from amortex.core.noise_streams import NoiseStreams
from helpers.networks import TinyNet
from helpers.problems import tiny_problem
from helpers.training import fit, metrics, versions

SIZE = {"levels": 2, "device": "cpu"}
CONFIG = {"input_size": 32, "mean": [0.5], "std": [0.5]}


class Squeezed(TinyNet):
    """Logits ``(B,)``, as binary cross-entropy takes them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).squeeze()


def one_logit(kind: str) -> tuple[nn.Module, str]:
    """A network of one logit, and the name of its head."""
    torch.manual_seed(0)
    if kind == "timm":
        return timm.create_model("test_efficientnet", num_classes=1).eval(), "classifier"
    return {"module": TinyNet, "squeezed": Squeezed}[kind](num_classes=1).eval(), "head"


def as_two_logits(network: nn.Module, head: str) -> nn.Module:
    """The same network with the logits ``[0, y]``."""
    two = copy.deepcopy(network)
    two.__class__ = TinyNet if isinstance(two, Squeezed) else two.__class__
    single = getattr(two, head)
    double = nn.Linear(single.in_features, 2)
    with torch.no_grad():
        double.weight.copy_(torch.cat([torch.zeros_like(single.weight), single.weight]))
        double.bias.copy_(torch.cat([torch.zeros_like(single.bias), single.bias]))
    setattr(two, head, double)
    if hasattr(two, "num_classes"):
        two.num_classes = 2
    return two


@pytest.mark.parametrize("kind", ["timm", "module", "squeezed"])
def test_one_logit_is_explained_as_two(kind, images):
    network, head = one_logit(kind)
    explainers = [
        amortex.load_explainer(method="cartoonx", classifier=classifier, steps=15, **SIZE, **CONFIG)
        for classifier in (network, as_two_logits(network, head))
    ]
    results = [explainer.explain(images) for explainer in explainers]
    with torch.no_grad():
        expected = network(2 * images - 1).view(-1).sigmoid()
    one, two = (explainer.explainer.rate_distortion.phi(images) for explainer in explainers)
    torch.testing.assert_close(one, torch.stack([1 - expected, expected], 1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(results[0].mask, results[1].mask, rtol=0, atol=1e-3)
    distortions = [result.certificate().distortion for result in results]
    torch.testing.assert_close(*distortions, rtol=1e-2, atol=1e-6)
    assert (distortions[0] > 0).all()


def test_a_predictor_sees_one_logit_as_two(images):
    predictions = []
    for classes in (1, 2):
        network, head = one_logit("timm")
        classifier = amortex.load_classifier(network if classes == 1 else as_two_logits(network, head), **CONFIG)
        torch.manual_seed(0)
        predictor = MaskPredictor(tiny_problem(levels=2).build(classifier)).eval()
        predictions.append(predictor(images, streams=NoiseStreams.of(images, stream="look")).logits)
    torch.testing.assert_close(*predictions, rtol=1e-3, atol=1e-4)


def test_training_for_one_logit_has_a_distortion(folder):
    assert fit(steps=3, model={"problem.num_classes": 1}) == 0
    (run,) = versions(folder)
    assert all(value > 0 for value in metrics(run, "val/distortion_2.5").values())
