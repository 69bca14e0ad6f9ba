"""Amortized explainers of waveforms, images and volumes: one implementation for one, two and three axes."""

import pytest
import torch

from amortex.amortized.backbone import fit
from amortex.amortized.config import PathConfig, PredictorConfig
from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.training.config import ObjectiveConfig, RefinementConfig
from amortex.training.objective import Objective
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier
from helpers.predictors import stirred
from helpers.signals import RANGES, SIZES, PyramidNet, signal_pipeline, signals

DIMS = [1, 2, 3]
SHORT_PATH = PathConfig(steps=4, averaged_steps=2, rounds=1, samples=4)


@pytest.fixture(params=DIMS)
def dims(request):
    return request.param


@pytest.fixture
def predictor(dims):
    torch.manual_seed(0)
    rd = signal_pipeline(dims, Wavelet("haar", 3 if dims == 1 else 2, dims=dims))
    return stirred(MaskPredictor(rd, PredictorConfig(width=8), refiner=True)).eval()


def test_masks_have_the_rate_asked_for_and_gradients_reach_every_weight(predictor, dims):
    x = signals(dims)
    prediction = predictor(x)
    assert prediction.logits.shape == (2, prediction.encoded.layout.k)
    for rate in (0.02, 0.4):
        torch.testing.assert_close(prediction.mask(rate).mean(1), torch.full((2,), rate), rtol=1e-4, atol=0)
    with torch.no_grad():
        for parameter in predictor.decoder.parameters():  # leave the zeros that training starts from
            parameter += 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    config = ObjectiveConfig(masks=2), RefinementConfig(steps=2)
    loss, _ = Objective(predictor, *config, (1.0, 5.0))(x, [0, 1], progress=0.5, step=0)
    loss.backward()
    silent = [name for name, p in predictor.decoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_refinement_lowers_the_objective_after_some_training(predictor, dims):
    """A network that cannot see its input could not: the loss is of two different inputs."""
    x, objective = signals(dims), Objective(predictor, ObjectiveConfig(), RefinementConfig(3, only=True), (0.5, 2.0))
    optimizer = torch.optim.Adam(predictor.decoder.refiner.parameters(), lr=1e-2)
    costs = []
    for _ in range(25):
        loss, measured = objective(x, [0, 1], progress=0.0, step=0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        costs.append(measured["refine_last"].item())
    assert costs[-1] < 0.9 * costs[0]
    refined = predictor.refine(predictor(x), 2.0, 4, NoiseStreams.of(x, stream="refine"))
    assert refined.isfinite().all()
    assert ((refined >= 0) & (refined <= 1)).all()


@pytest.mark.parametrize("arguments", [
    {}, {"rate": 0.3}, {"rate": 0.1, "hard": True}, {"select_rate": True}, {"max_distortion": 0.05},
    {"finetune_steps": 2},
])  # fmt: skip
def test_whatever_is_asked_of_the_rate_is_kept_to(arguments, predictor, dims):
    x = signals(dims)
    explainer = Amortized(predictor, 1.0, learned_steps=2, path_config=SHORT_PATH, **arguments)
    explanation = explainer.explain(x)
    if "rate" in arguments:
        tolerance = 0.5 / explanation.mask.shape[1] if "hard" in arguments else 1e-4
        torch.testing.assert_close(
            explanation.mask.mean(1), torch.full((2,), arguments["rate"]), rtol=0, atol=tolerance
        )
    alone = explainer.explain(x[1:])
    torch.testing.assert_close(alone.mask[0], explanation.mask[1], rtol=0, atol=1e-3)
    assert explainer.attribute(x).shape == x.shape


def test_feature_maps_and_class_maps_reach_the_decoder(dims):
    classifier = build_classifier(PyramidNet(dims), SIZES[dims], f"pyramid of {dims} axes")
    rd = RateDistortion(classifier, Wavelet("db2", 2, dims=dims), value_range=RANGES[dims])
    predictor = MaskPredictor(rd, PredictorConfig(width=8))
    prediction = predictor(signals(dims))
    assert predictor.backbone.channels == [6, 8]
    assert prediction.evidence.activation.shape == (2, 2, prediction.encoded.layout.k)
    with torch.no_grad():
        for stage in predictor.decoder.stages:  # leave the zeros that training starts from
            stage.head.weight += 0.1
    predictor(signals(dims)).mask(0.1).square().sum().backward()
    assert all(stage.features[1].weight.grad.any() for stage in predictor.decoder.stages)


def test_maps_keep_their_place_at_any_level(dims):
    side = 32 if dims < 3 else 16
    ramp = torch.arange(float(side)).expand(1, 1, *[side] * dims)
    longer = fit(ramp, (side + 3,) * dims, (4 * side,) * dims, level=2)  # db3: three positions more than a quarter
    assert torch.equal(longer[(0, 0, *[0] * (dims - 1))][1 : side + 1], torch.arange(float(side)))
    assert fit(ramp, (side // 4,) * dims, (4 * side,) * dims, level=4).shape == (1, 1, *[side // 4] * dims)
    assert fit(ramp, (2 * side + 2,) * dims, (4 * side,) * dims, level=1).diff(dim=-1).min() >= 0


@pytest.mark.parametrize(("axes", "why"), [(1, "for images; leave it out"), (2, "are too small"), (3, "for images")])
def test_encoders_are_for_images_that_they_do_not_shrink_away(axes, why):
    rd = signal_pipeline(axes, Wavelet("haar", 2, dims=axes))
    with pytest.raises(InputError, match=why):
        MaskPredictor(rd, PredictorConfig(encoder="convnext_atto"))


@pytest.mark.parametrize("arguments", [{}, {"rate": 0.3}, {"hard": True, "rate": 0.3}, {"learned_steps": 0}])
def test_silence_at_the_end_of_a_sound_is_not_kept_and_costs_no_rate(arguments):
    torch.manual_seed(0)
    predictor = stirred(MaskPredictor(signal_pipeline(1, Wavelet("haar", 3, dims=1)), PredictorConfig(width=8), True))
    x = signals(1)
    x[..., 130:] = 0
    explanation = Amortized(predictor.eval(), path_config=SHORT_PATH, **arguments).explain(x)
    dead = ~explanation.encoded.live
    assert dead.any()
    assert not explanation.mask[dead].any()
    assert not explanation.relevance[dead].any()
    if "rate" in arguments:
        torch.testing.assert_close(explanation.encoded.rate(explanation.mask), torch.full((2,), 0.3), atol=5e-3, rtol=0)
