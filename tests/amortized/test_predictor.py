"""The predictor: what it sees, what it returns, and that it starts from its prior."""

import pytest
import torch
from torch import nn

from amortex.amortized.backbone import Backbone, class_maps, fit
from amortex.amortized.budget import masks_of_rate
from amortex.amortized.config import PredictorConfig
from amortex.amortized.evidence import PROBE_RATE, probe, standardise
from amortex.amortized.predictor import CURVE_RATES, MaskPredictor
from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.pixel import Pixel
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier, smooth_net

NAMES = ("tf_efficientnet_lite0", "mobilenetv2_100", "resnet18", "test_vit")


def timm_classifier(name: str):
    size = 160 if "vit" in name else 64
    return load_classifier(name, "random", num_classes=7, input_size=size)


@pytest.fixture(scope="module", params=NAMES)
def classifier(request):
    return timm_classifier(request.param)


def pictures(classifier, count: int = 2) -> torch.Tensor:
    return torch.rand(count, *classifier.input_size, generator=torch.Generator().manual_seed(0))


def test_class_and_features_come_from_one_pass(classifier):
    backbone, image = Backbone(classifier), pictures(classifier)
    features = backbone(image)
    torch.testing.assert_close(features.logits, classifier(image))
    assert [m.shape[1] for m in features.maps] == backbone.channels
    assert len(features.maps) in (4, 5)
    assert backbone.strides == sorted(backbone.strides)


def test_class_maps_average_to_the_logit_beyond_that_of_the_average_class(classifier):
    features = Backbone(classifier)(pictures(classifier))
    if classifier.name.endswith("vit"):  # its head reads the class token; the others are in the same space
        assert features.head is not None
        tokens = classifier.model.norm(features.maps[-1].flatten(2).mT)
        torch.testing.assert_close(features.embedding.flatten(2).mT, tokens, rtol=1e-3, atol=1e-4)
        return
    target = torch.tensor([3, 5])
    head = classifier.model.get_classifier()
    evidence = features.logits - head.bias
    beyond = evidence - evidence.mean(1, keepdim=True)
    probabilities = features.logits.softmax(-1)
    others = torch.stack([p * (torch.arange(7) != t) for p, t in zip(probabilities, target, strict=True)])
    rivals = (others * beyond).sum(1) / others.sum(1)
    expected = torch.stack([beyond.gather(1, target[:, None])[:, 0], rivals], 1)
    found = class_maps(features, target, probabilities).mean((2, 3))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_maps_are_fitted_to_levels_without_moving():
    x = torch.arange(32.0)[None, None, None].expand(1, 1, 32, 32)
    fitted = fit(x, (35, 35), (128, 128), level=2)  # db3: three positions more than 128 / 4
    assert torch.equal(fitted[0, 0, 0, 1:33], torch.arange(32.0))
    assert fit(x, (8, 8), (128, 128), level=4).shape == (1, 1, 8, 8)
    assert fit(x, (66, 66), (128, 128), level=1).diff(dim=-1).min() >= 0


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("features", [False, True])
def test_predictions_have_the_rate_asked_for(classifier, gradient, features):
    predictor = MaskPredictor(RateDistortion(classifier), PredictorConfig(features=features, gradient=gradient))
    prediction = predictor(pictures(classifier))
    k = prediction.encoded.layout.k
    assert prediction.logits.shape == (2, k)
    for rate in (0.01, 0.3):
        torch.testing.assert_close(prediction.mask(rate).mean(1), torch.full((2,), rate), rtol=1e-4, atol=0)
    assert (prediction.curve.diff(dim=1) <= 0).all()
    rates = torch.stack([prediction.rate_for(value) for value in (0.0, 0.5, 5.0, 1e4)])
    assert (rates.diff(dim=0) <= 0).all()
    assert rates[0].tolist() == [1.0, 1.0]
    assert rates[3].tolist() == pytest.approx([CURVE_RATES[0]] * 2)
    corners = prediction.distortion(torch.tensor(CURVE_RATES).expand(2, -1))
    torch.testing.assert_close(corners, prediction.curve, rtol=1e-4, atol=1e-5)


def test_untrained_predictor_is_its_prior_and_every_weight_learns(tiny_classifier, images):
    predictor = MaskPredictor(RateDistortion(tiny_classifier, Wavelet("db2", 2)))
    streams = NoiseStreams.of(images, stream="look")
    prediction = predictor(images, streams=streams)
    damage = prediction.evidence.probe.damage
    expected = standardise((damage + 1e-4 * damage.mean(1, keepdim=True)).log())
    expected = 2 * standardise(expected + 0.5 * prediction.evidence.prior)
    torch.testing.assert_close(prediction.logits, expected, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        for parameter in predictor.decoder.parameters():  # leave the zeros that training starts from
            parameter += 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    prediction = predictor(images)
    (prediction.mask(0.1).square().sum() + prediction.curve.sum()).backward()
    silent = [name for name, p in predictor.decoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_a_probe_is_the_gradient_at_one_noisy_input(smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, Wavelet("haar", 2))
    encoded = rd.encode(images64)
    mask = torch.rand(4, encoded.layout.k, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    probed = probe(rd, encoded, mask, NoiseStreams.of(images64, stream="look"))
    noise = rd.noise(encoded, NoiseStreams.of(images64, stream="look"), slice(None), 1)
    deviation = encoded.coefficients.flat - encoded.layout.join(encoded.location)
    flat = rd.mix(encoded, mask, noise).flat.requires_grad_()
    bands = encoded.layout.split(flat)
    score = rd.classifier(rd.picture(encoded.coefficients._replace(bands=bands))).log_softmax(-1)
    log_probability = score.gather(1, encoded.target[:, None])[:, 0]
    (gradient,) = torch.autograd.grad(log_probability.sum(), flat)
    change = deviation.square() + encoded.layout.join(encoded.scale).square()
    torch.testing.assert_close(probed.damage, (gradient.square() * change).sum(1))
    torch.testing.assert_close(probed.effect, (gradient * deviation).sum(1))
    torch.testing.assert_close(probed.log_probability, log_probability.detach())
    rd.internal_batch_size = 3  # chunks of 3 and 1
    torch.testing.assert_close(probe(rd, encoded, mask, NoiseStreams.of(images64, stream="look")), probed)


def test_the_prior_follows_energy_and_class_map_and_the_gradient_is_probed_there(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    black_box = MaskPredictor(rd, PredictorConfig(features=False))(images).evidence
    assert black_box.activation is None
    torch.testing.assert_close(black_box.prior, standardise(black_box.energy))
    rd = RateDistortion(timm_classifier("tf_efficientnet_lite0"))
    image = pictures(rd.classifier)
    evidence = MaskPredictor(rd)(image).evidence
    expected = standardise(2 * standardise(evidence.energy) + 3 * evidence.activation[:, 0])
    torch.testing.assert_close(evidence.prior, expected)
    _, *details = evidence.encoded.layout.split(evidence.activation)
    assert evidence.activation.abs().max() == pytest.approx(1, abs=0.3)  # coarse levels see averages
    assert all(torch.equal(detail[:, :, 0], detail[:, :, 2]) for detail in details)
    mask = masks_of_rate(2 * evidence.prior, torch.full((2,), PROBE_RATE))
    again = probe(rd, evidence.encoded, mask, NoiseStreams.of(image, stream="look"))
    torch.testing.assert_close(evidence.probe, again)


def test_an_encoder_learns_for_a_black_box(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("db2", 2))
    predictor = MaskPredictor(rd, PredictorConfig(features=False, encoder="convnext_atto", width=8))
    assert predictor.decoder.encoder.strides == [4, 8, 16, 32]
    with torch.no_grad():
        for stage in predictor.decoder.stages:  # leave the zeros that training starts from
            stage.head.weight += 0.1
    predictor(images).mask(0.1).square().sum().backward()
    assert all(p.grad is not None for p in predictor.decoder.encoder.network.stem_0.parameters())
    with pytest.raises(InputError, match="batch normalisations; try convnext_atto"):
        MaskPredictor(rd, PredictorConfig(encoder="resnet18"))
    with pytest.raises(InputError, match="nonsense cannot be the encoder"):
        MaskPredictor(rd, PredictorConfig(encoder="nonsense"))


def test_another_class_gets_another_mask(tiny_classifier, images):
    predictor = MaskPredictor(RateDistortion(tiny_classifier, Wavelet("haar", 2)))
    one, other = (predictor(images, torch.full((3,), c)).mask(0.1) for c in (1, 2))
    assert (one - other).abs().mean() > 1e-3


def test_weights_belong_to_their_classifier_and_transform(tiny_classifier):
    predictor = MaskPredictor(RateDistortion(tiny_classifier, Wavelet("haar", 2)))
    predictor.refuse_others(predictor.rate_distortion.identity())
    other = build_classifier(smooth_net(5, seed=9), (3, 32, 32), "tiny")
    for rd, what in (
        (RateDistortion(other, Wavelet("haar", 2)), "classifier weights"),
        (RateDistortion(tiny_classifier, Wavelet("haar", 1)), "transform levels"),
        (RateDistortion(tiny_classifier, Wavelet("db2", 2)), "transform wavelet"),
    ):
        with pytest.raises(InputError, match=f"trained for another {what}"):
            MaskPredictor(rd).refuse_others(predictor.rate_distortion.identity())
    with pytest.raises(InputError, match="not on Pixel"):
        MaskPredictor(RateDistortion(tiny_classifier, Pixel()))


def test_black_boxes_are_explained_from_coefficients_alone(images):
    classifier = build_classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4)), (3, 32, 32), "box")
    predictor = MaskPredictor(RateDistortion(classifier, Wavelet("haar", 3)), PredictorConfig(gradient=False))
    assert predictor.backbone.channels == []
    assert predictor(images).mask(0.2).mean().item() == pytest.approx(0.2, rel=1e-4)
