"""The objective of training: what a step measures, what imitation aims at."""

import pytest
import torch

from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.presets import Preset
from amortex.explainers.rde import RDE
from amortex.rate_distortion.distortions import surrogate
from amortex.training.config import ObjectiveConfig, RefinementConfig
from amortex.training.targets import drawn_targets
from helpers.problems import training_module


def test_masks_of_an_image_share_their_noise_and_rises_count_more(monkeypatch):
    module = training_module(objective=ObjectiveConfig(masks=3, monotone=0.0))
    images, seen = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)), {}
    rd = module.predictor.rate_distortion
    outputs = rd.outputs

    def spy(encoded, mask, noise):
        seen.update(encoded=encoded, mask=mask, noise=noise, outputs=outputs(encoded, mask, noise))
        return seen["outputs"]

    monkeypatch.setattr(rd, "outputs", spy)
    plain, measured = module.objective(images, [5, 6], progress=1.0, step=0)
    assert (seen["mask"].mean(1).view(2, 3).diff(dim=1) > 0).all()
    for band in seen["noise"]:
        assert torch.equal(band[0], band[2])
        assert not torch.equal(band[0], band[3])
    distortion = rd.distortions(seen["encoded"], seen["outputs"]).view(2, 3)
    rises = distortion.diff(dim=1) > 0.01
    assert measured["rises"].item() == pytest.approx(rises.float().sum().item() / 6)
    stricter = training_module(objective=ObjectiveConfig(masks=3, monotone=2.0))
    stricter.predictor.decoder.load_state_dict(module.predictor.decoder.state_dict())
    monkeypatch.setattr(stricter.predictor.rate_distortion, "outputs", spy)
    harder, _ = stricter.objective(images, [5, 6], progress=1.0, step=0)
    encoded = seen["encoded"]
    divergence = surrogate(encoded.probabilities, seen["outputs"], encoded.target, encoded.predicted).view(2, 3)
    assert (harder - plain).item() == pytest.approx(2 * (divergence[:, 1:] * rises).sum().item() / 6, abs=1e-6)


def test_imitation_ends_at_the_teacher(tiny_classifier):
    module = training_module(objective=ObjectiveConfig(warm_up=1, teacher_steps=3))
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    prediction = module.predictor(image)
    rd, rate = module.predictor.rate_distortion, torch.tensor([0.1, 0.3])
    preset = Preset("warm-up", 3, 2, 2e-2, "constant")
    start = prediction.mask(rate)
    teacher = RDE(rd, module.lambda_k[3], preset, start.detach())
    target = teacher._explain(prediction.encoded, NoiseStreams.numbered([6, 7], 0, "teacher"), lambda *_: None).mask
    expected = torch.nn.functional.binary_cross_entropy(prediction.mask(target.mean(1)), target)
    torch.testing.assert_close(module.objective.imitate(prediction, rate, [6, 7], step=3), expected)


def test_other_classes_are_refined_from_masks_of_low_and_high_rates():
    module = training_module(refinement=RefinementConfig(steps=1, only=True, other_targets=0.5))
    images, numbers = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0)), list(range(40))
    seen = []
    module.predictor.decoder.refiner.register_forward_hook(lambda refiner, given, state: seen.append(given))
    module.objective(images, numbers, progress=0.0, step=0)
    ((evidence, _, _, state, _),) = seen
    encoded = evidence.encoded
    assert torch.equal(encoded.target, drawn_targets(encoded.probabilities, 0.5, numbers, module.seed))
    rates = encoded.rate(state.mask)[~encoded.predicted].sort().values
    assert len(rates) > 10
    assert 0.009 < rates[0] < 0.03
    assert 0.2 < rates[-1] < 0.41
