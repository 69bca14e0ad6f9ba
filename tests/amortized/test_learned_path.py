"""Learned steps of densification paths: what their probes see, how midpoints move, and when steps end."""

import copy

import pytest
import torch

from amortex.amortized.budget import raise_to
from amortex.amortized.config import PathConfig, PredictorConfig
from amortex.amortized.explainer import Amortized
from amortex.amortized.learned_path import PathBatch, initial_path_state, learned_midpoints, probe_path
from amortex.amortized.path_optimizer import PathOptimizer, optimal_midpoints
from amortex.amortized.predictor import MaskPredictor, Prediction
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.obfuscations import build_obfuscation
from amortex.rate_distortion.distortions import of_class
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.predictors import stirred

CONFIG = PathConfig()


@pytest.fixture
def predictor(tiny_classifier):
    torch.manual_seed(0)
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    return stirred(MaskPredictor(rd, PredictorConfig(width=8), refiner=True, path=True)).eval()


def paths_of(prediction: Prediction) -> PathBatch:
    """From random masks of 20 % of the entries."""
    random = torch.rand(prediction.logits.shape, generator=torch.Generator().manual_seed(5))
    return PathBatch(prediction.encoded, prediction.evidence.contrast, prediction.hidden, (random < 0.2).float())


def test_the_midpoint_has_its_rate_and_keeps_the_start(predictor, images):
    paths = paths_of(predictor(images))
    even = paths.midpoint(torch.zeros_like(paths.start), CONFIG)
    torch.testing.assert_close(even, raise_to(paths.start, CONFIG.midpoint_rate))
    logits = torch.randn(paths.start.shape, generator=torch.Generator().manual_seed(6))
    midpoint = paths.midpoint(logits, CONFIG)
    torch.testing.assert_close(midpoint.mean(1), torch.full((3,), CONFIG.midpoint_rate))
    assert (midpoint >= paths.start).all()
    assert (midpoint <= 1).all()
    dropped = paths.start[0] == 0
    assert torch.equal(logits[0, dropped].argsort(), midpoint[0, dropped].argsort())


@pytest.mark.parametrize("start_rate", [0.05, 0.35])
@pytest.mark.parametrize("soft", [False, True])
def test_the_midpoint_has_the_gradient_at_its_rate(predictor, images, start_rate, soft):
    """Against central differences, along a direction in which all that comes back would rise, and along another."""
    paths, generator = paths_of(predictor(images)), torch.Generator().manual_seed(7)
    random = torch.rand(paths.start.shape, generator=generator, dtype=torch.float64)
    start = random ** (1 / start_rate - 1) if soft else (random < start_rate).double()
    paths = paths._replace(start=start)
    logits, wave = (torch.randn(start.shape, generator=generator, dtype=torch.float64) for _ in range(2))
    weights = 1 + 0.1 * wave  # nearly what a larger mask would win
    leaf = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((paths.midpoint(leaf, CONFIG) * weights).sum(), leaf)
    torch.testing.assert_close(paths.midpoint(logits, CONFIG).mean(1), torch.full((3,), 0.5, dtype=torch.float64))
    for direction in (1 - paths.start, wave):
        step = 1e-5 * direction
        values = [(paths.midpoint(logits + sign * step, CONFIG) * weights).sum(1) for sign in (1, -1)]
        expected = (values[0] - values[1]) / 2e-5
        torch.testing.assert_close((gradient * direction).sum(1), expected, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("internal_batch_size", [1, 3, 8, 64])
def test_a_probe_finds_the_gradient_of_the_distortion_along_the_path(tiny_classifier, images, internal_batch_size):
    """Against autograd through the path and the classifier, with the same draws at the same rates."""
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    prediction = MaskPredictor(rd, PredictorConfig(width=8), path=True)(images)
    encoded, paths = prediction.encoded, paths_of(prediction)
    midpoint = paths.midpoint(torch.zeros_like(paths.start), CONFIG)
    rd.internal_batch_size = internal_batch_size
    sizes = []
    handle = rd.classifier.model.register_forward_hook(lambda module, given, output: sizes.append(len(output)))
    probe = probe_path(rd, paths, midpoint, NoiseStreams.of(images, stream="way"), CONFIG)
    handle.remove()
    assert max(sizes) <= internal_batch_size
    noise = rd.noise(encoded, NoiseStreams.of(images, stream="way"), slice(None), len(CONFIG.rates))
    leaf, p = midpoint.clone().requires_grad_(), of_class(encoded.probabilities, encoded.target)
    q = []
    for draw, rate in enumerate(CONFIG.rates):
        mask = raise_to(paths.start, rate, leaf)
        outputs = rd.outputs(encoded, mask, tuple(band[:, draw : draw + 1] for band in noise))
        q.append(of_class(outputs[:, 0], encoded.target))
    distortion = (torch.stack(q, 1) - p[:, None]).square().mean(1)
    (gradient,) = torch.autograd.grad(distortion.sum(), leaf)
    torch.testing.assert_close(probe.probability, torch.stack(q, 1).detach())
    torch.testing.assert_close(probe.distortion, distortion.detach())
    torch.testing.assert_close(probe.gain, -gradient * encoded.entries, rtol=1e-3, atol=1e-5)


def test_untrained_steps_move_nothing_and_stirred_ones_do(predictor, images):
    rd, prediction = predictor.rate_distortion, predictor(images)
    paths, config = paths_of(prediction), PathConfig(settled=0.0)
    even = initial_path_state(paths, config).midpoint
    refiner = MaskPredictor(rd, PredictorConfig(width=8), refiner=True, path=True).decoder.path
    torch.testing.assert_close(learned_midpoints(refiner, rd, paths, config).midpoint, even, rtol=0, atol=1e-6)
    moved = learned_midpoints(predictor.decoder.path, rd, paths, config).midpoint
    assert (moved - even).abs().amax(1).min() > 0.01
    torch.testing.assert_close(moved.mean(1), torch.full((3,), config.midpoint_rate))
    reseeded = learned_midpoints(predictor.decoder.path, rd, paths, config, seed=1).midpoint
    assert (reseeded - moved).abs().max() > 1e-4


def test_steps_end_where_the_distortion_is_small(predictor, images):
    rd, prediction = predictor.rate_distortion, predictor(images)
    paths, count = paths_of(prediction), 3 * len(CONFIG.rates)
    with rd.classifier.count_passes(3) as counter:
        every = learned_midpoints(predictor.decoder.path, rd, paths, PathConfig(settled=0.0)).midpoint
    assert counter.per_image.tolist() == [count * CONFIG.learned_steps] * 3
    first = initial_path_state(paths, CONFIG).midpoint
    probed = probe_path(rd, paths, first, NoiseStreams.of(images, 0, "way 0"), CONFIG).distortion
    low, middle, high = probed.argsort().tolist()
    config = PathConfig(settled=(probed[low] + probed[middle]).item() / 2)
    with rd.classifier.count_passes(3) as counter:
        some, distortion = learned_midpoints(predictor.decoder.path, rd, paths, config)
    assert distortion[low] == pytest.approx(probed[low].item())
    assert counter.per_image[low] == count
    assert counter.per_image[middle] > count
    assert (some[low] - every[low]).abs().max() > 1e-4
    goes_on = [index for index in (middle, high) if counter.per_image[index] == count * CONFIG.learned_steps]
    assert goes_on
    torch.testing.assert_close(some[goes_on], every[goes_on], rtol=0, atol=1e-4)


def test_an_explainer_takes_them_for_rates_beyond_the_refined_one(predictor, images):
    config = PathConfig(settled=0.0, rounds=0)
    explainer = Amortized(predictor, rate=0.4, learned_steps=2, path_config=config)
    together, alone = explainer.explain(images), explainer.explain(images[1:2])
    assert together.extra["passes"].tolist() == [4 + 3 * 2 + 3 * len(config.rates) * config.learned_steps] * 3
    torch.testing.assert_close(alone.mask[0], together.mask[1], rtol=0, atol=1e-3)
    torch.testing.assert_close(together.mask.mean(1), torch.full((3,), 0.4), rtol=1e-3, atol=0)
    adam = Amortized(predictor, rate=0.4, learned_steps=2, path_config=PathConfig(learned_steps=0, rounds=0))
    assert (adam.explain(images).extra["passes"] > together.extra["passes"]).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions(dtype, predictor, images):
    if dtype == torch.float64:
        predictor, images = copy.deepcopy(predictor).double(), images.double()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        explanation = Amortized(predictor, rate=0.4, learned_steps=2).explain(images)
    assert (explanation.extra["passes"] > 4 + 3 * 2).any()
    torch.testing.assert_close(explanation.mask.mean(1).float(), torch.full((3,), 0.4), rtol=1e-3, atol=0)


@pytest.mark.parametrize("obfuscation", ["zero", "blur"])
def test_obfuscations_without_noise(obfuscation, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), build_obfuscation(obfuscation))
    predictor = stirred(MaskPredictor(rd, PredictorConfig(width=8), refiner=True, path=True)).eval()
    mask = Amortized(predictor, rate=0.7, learned_steps=2).explain(images).mask
    torch.testing.assert_close(mask.mean(1), torch.full((3,), 0.7), rtol=1e-3, atol=0)


def test_other_rates_and_numbers_of_steps_are_refused_or_taken_by_adam(predictor, images):
    config = {"rates": (0.2, 0.5), "measured_rates": (0.1, 0.2, 0.5), "steps": 2, "averaged_steps": 1, "rounds": 0}
    explain = Amortized(predictor, rate=0.4, learned_steps=2, path_config=PathConfig(**config)).explain
    with pytest.raises(InputError, match=r"for 4 rates: give learned_steps=0"):
        explain(images)
    adam = Amortized(predictor, rate=0.4, learned_steps=2, path_config=PathConfig(**config, learned_steps=0))
    assert adam.explain(images).extra["passes"].max() >= 4 + 3 * 2 + 2 * 2 * 3
    with pytest.raises(InputError, match="at least 0, not -1"):
        PathConfig(learned_steps=-1)


def test_adam_goes_on_where_distortion_still_rises(predictor, images):
    """As without learned steps: a round counts only if it rises less, so that what is learned is never worse."""
    prediction = predictor(images)
    paths, config = paths_of(prediction), PathConfig(settled=0.0, rise=1e-6, rounds=1, samples=8)
    rd, encoded = predictor.rate_distortion, prediction.encoded
    learned = learned_midpoints(predictor.decoder.path, rd, paths, config)
    with rd.classifier.count_passes(3) as counter:
        midpoint = optimal_midpoints(rd, encoded, paths.start, config, learned=learned)
    measured = len(config.measured_rates) * config.samples
    assert counter.per_image.tolist() == [2 * measured + 3 * len(config.rates) * config.steps] * 3
    optimizer = PathOptimizer(rd, encoded, paths.start, config)
    before, after = (optimizer.measure(each)[1] for each in (learned.midpoint, midpoint))
    assert (after <= before + 1e-6).all()
    changed = (midpoint - learned.midpoint).abs().amax(1) > 1e-4
    assert torch.equal(changed, after < before - 1e-6)
    assert torch.equal(optimal_midpoints(rd, encoded, paths.start, PathConfig(rounds=0), learned=learned), learned[0])
