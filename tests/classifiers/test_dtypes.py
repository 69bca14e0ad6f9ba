"""Networks of other floating-point types: they compute in their own, and all else stays float32."""

import copy

import pytest
import torch

import amortex
from amortex.classifiers.loading import load_classifier
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.networks import ReluNet

SIZE = {"input_size": 32, "mean": [0.5], "std": [0.5]}


@pytest.fixture
def float64_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float16, 0.02), (torch.bfloat16, 0.2), (torch.float64, 1e-5)])
def test_inputs_are_cast_and_outputs_come_back_in_float32(dtype, close, images):
    torch.manual_seed(0)
    network = ReluNet()
    expected = load_classifier(network, **SIZE)(images)
    classifier = load_classifier(copy.deepcopy(network).to(dtype), **SIZE)
    logits = classifier(images)
    assert (classifier.model.head.weight.dtype, logits.dtype) == (dtype, torch.float32)
    torch.testing.assert_close(logits, expected, rtol=close, atol=close)
    rd = RateDistortion(classifier, Wavelet("haar", 2))
    encoded = rd.encode(images)
    assert encoded.probabilities.dtype == torch.float32
    assert rd.distortions(encoded, encoded.probabilities[:, None]).dtype == torch.float32


@pytest.mark.parametrize("method", ["cartoonx", "wam", "gradcam", "lrp"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_masks_and_distortions_are_float32(method, dtype, images):
    network = ReluNet().to(dtype)
    steps = {"steps": 3} if method == "cartoonx" else {}
    loaded = amortex.load_explainer(method=method, classifier=network, levels=2, device="cpu", **steps, **SIZE)
    result = loaded.explain(images)
    assert (result.mask.dtype, result.certificate().distortion.dtype) == (torch.float32, torch.float32)


@pytest.mark.usefixtures("float64_by_default")
@pytest.mark.parametrize("method", ["cartoonx", "amortized"])
def test_the_default_type_of_the_program_does_not_matter(method):
    own = {"classifier": ReluNet(), "levels": 2, "steps": 3, **SIZE} if method == "cartoonx" else {"input_size": 64}
    image = torch.rand(1, 3, own["input_size"], own["input_size"])
    result = amortex.load_explainer(method=method, device="cpu", **own).explain(image)
    assert result.certificate().distortion.dtype == torch.float32
    assert torch.get_default_dtype() == torch.float64
