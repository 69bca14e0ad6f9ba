"""An explainer that sees no features can begin to see them: at first it ignores them."""

import json
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import save_file

from amortex.amortized.config import PredictorConfig
from amortex.amortized.predictor import MaskPredictor
from amortex.amortized.released import CONFIG, WEIGHTS
from amortex.amortized.starting import start_from
from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier
from helpers.predictors import stirred
from helpers.signals import SIZES, PyramidNet, signals

NAMES = ("resnet18", "digits3d", "yamnet")  # with linear heads, of images, volumes and sounds


@pytest.fixture(scope="module", params=NAMES)
def rate_distortion(request):
    sizes = {"resnet18": {"num_classes": 7, "input_size": 64}, "yamnet": {"input_size": (1, 15600)}}
    weights = "random" if request.param == "resnet18" else "auto"
    classifier = load_classifier(request.param, weights, **sizes.get(request.param, {}))
    return RateDistortion(classifier)


def written(predictor: MaskPredictor, folder) -> None:
    settings = {"problem": {}, "predictor": asdict(predictor.config), "refinement": {"steps": 8}}
    identity = predictor.rate_distortion.identity()
    (folder / CONFIG).write_text(json.dumps({"settings": settings, "identity": identity}))
    save_file(predictor.decoder.state_dict(), folder / WEIGHTS)


def at_random(rate_distortion, **config) -> MaskPredictor:
    torch.manual_seed(0)
    predictor = stirred(MaskPredictor(rate_distortion, PredictorConfig(width=8, **config), refiner=True)).eval()
    with torch.no_grad():
        for parameter in predictor.decoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return predictor


@pytest.mark.parametrize("gradient", [False, True])
def test_what_is_new_to_it_has_no_effect_at_first_and_can_be_learned(rate_distortion, gradient, tmp_path):
    blind = at_random(rate_distortion, features=False, gradient=gradient)
    written(blind, tmp_path)
    seeing = MaskPredictor(rate_distortion, PredictorConfig(width=8, gradient=gradient), refiner=True).eval()
    start_from(seeing, tmp_path)
    image = torch.rand(2, *rate_distortion.classifier.input_size, generator=torch.Generator().manual_seed(0))
    before = blind(image, streams=NoiseStreams.of(image, stream="look"))
    after = seeing(image, streams=NoiseStreams.of(image, stream="look"))
    assert after.evidence.activation is not None
    known = after.evidence._replace(prior=before.evidence.prior, probe=before.evidence.probe)
    logits, _, hidden = seeing.decoder(known)
    torch.testing.assert_close(logits, before.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(hidden.condition, before.hidden.condition)
    logits.square().sum().backward()
    maps = [parameter for name, parameter in seeing.decoder.named_parameters() if ".features.1." in name]
    assert all(parameter.grad.any() for parameter in maps)
    assert seeing.decoder.embed[0].weight.grad[:, blind.decoder.embed[0].in_features :].any()
    assert all(stage.stem.weight.grad[:, -2:].any() for stage in seeing.decoder.stages)  # of class maps


def test_without_a_linear_head_logits_stay_as_they_are(monkeypatch, tmp_path):
    monkeypatch.delattr(PyramidNet, "get_classifier")
    classifier = build_classifier(PyramidNet(2), SIZES[2], "pyramid")
    rd = RateDistortion(classifier, Wavelet("haar", 2))
    blind = at_random(rd, features=False)
    written(blind, tmp_path)
    seeing = MaskPredictor(rd, PredictorConfig(width=8), refiner=True).eval()
    start_from(seeing, tmp_path)
    image = signals(2)
    before, after = (each(image, streams=NoiseStreams.of(image, stream="look")) for each in (blind, seeing))
    assert after.evidence.activation is None
    assert after.evidence.features.maps
    torch.testing.assert_close(after.logits, before.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "change", [{"width": 16}, {"gradient": False}, {"condition": 32}, {"encoder": "convnext_atto"}]
)
def test_one_that_is_built_otherwise_is_refused(rate_distortion, change, tmp_path):
    if "encoder" in change and rate_distortion.classifier.name != "resnet18":
        pytest.skip("encoders are for images")
    written(at_random(rate_distortion, features=False), tmp_path)
    with pytest.raises(InputError, match="is built otherwise"):
        start_from(MaskPredictor(rate_distortion, PredictorConfig(**{"width": 8, **change}), refiner=True), tmp_path)


def test_a_gradient_that_is_new_is_refused(rate_distortion, tmp_path):
    written(at_random(rate_distortion, features=False, gradient=False), tmp_path)
    with pytest.raises(InputError, match="is built otherwise"):
        start_from(MaskPredictor(rate_distortion, PredictorConfig(width=8), refiner=True), tmp_path)
