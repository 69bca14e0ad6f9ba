"""The loss of learned paths: its gradient, that it learns, and training from end to end."""

import pytest
import torch
from safetensors.torch import load_file

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.config import PathConfig, PredictorConfig
from amortex.amortized.explainer import Amortized
from amortex.amortized.learned_path import probe_path
from amortex.amortized.predictor import MaskPredictor
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.training.paths import TYPICAL_DISTORTION, PathLoss
from amortex.transforms.wavelet import Wavelet
from helpers.predictors import stirred
from helpers.training import export, fit, last_checkpoint, metrics, told, versions

NUMBERS = [0, 1, 2]


@pytest.fixture
def predictor(tiny_classifier):
    torch.manual_seed(0)
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    predictor = stirred(MaskPredictor(rd, PredictorConfig(width=8), refiner=True, path=True))
    predictor.decoder.refiner.requires_grad_(False)
    return predictor.eval()


def test_two_steps_have_the_gradient_of_the_distortions_that_they_lead_to(predictor, images):
    """Against two steps whose probes are constants, with the path through the first one."""
    refiner, calls = predictor.decoder.path, []
    with torch.no_grad():
        prediction = predictor(images, streams=NoiseStreams.numbered(NUMBERS, 0, "look"))
    handle = refiner.register_forward_hook(lambda module, arguments, state: calls.append(arguments))
    with torch.no_grad():
        PathLoss(predictor, 2)(prediction, NUMBERS)
    handle.remove()
    (paths, start, first_probe, config), (_, _, second_probe, _) = calls
    streams = NoiseStreams.numbered(NUMBERS, 0, "path")
    one = refiner(paths, start, first_probe, config)
    two = refiner(paths, one, second_probe, config)
    probes = [
        probe_path(predictor.rate_distortion, paths, state.midpoint.detach(), streams, config)
        for state in (start, one, two)
    ]
    torch.testing.assert_close(probes[1], second_probe)
    entries = paths.encoded.entries
    has_path = paths.start.mean(1) < config.midpoint_rate
    assert has_path.any()
    parts = [
        weight * (has_path * (state.midpoint * -probe.gain / entries).sum(1)).mean()
        for weight, state, probe in ((1 / 3, one, probes[1]), (2 / 3, two, probes[2]))
    ]
    loss, measured = PathLoss(predictor, 2)(prediction, NUMBERS)
    torch.testing.assert_close(loss, sum(parts) / TYPICAL_DISTORTION)
    torch.testing.assert_close(measured["path_last"], probes[2].distortion[has_path].mean())
    weights = list(refiner.parameters())
    gradients, expected = (torch.autograd.grad(value, weights) for value in (loss, sum(parts) / TYPICAL_DISTORTION))
    torch.testing.assert_close(gradients, expected, rtol=1e-3, atol=1e-6)


def test_classes_that_are_not_predicted_have_no_part_in_it(predictor, images):
    with torch.no_grad():
        streams = NoiseStreams.numbered(NUMBERS, 0, "look")
        target = predictor.rate_distortion.phi(images).argmin(1)
        prediction = predictor(images, target, streams)
    loss, measured = PathLoss(predictor, 2)(prediction, NUMBERS)
    assert loss == 0
    assert measured["path_last"] == 0


def test_it_learns_to_lower_the_distortion_along_the_path(tiny_classifier, images):
    torch.manual_seed(0)
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    predictor = MaskPredictor(rd, PredictorConfig(width=8), refiner=True, path=True).eval()
    optimizer = torch.optim.Adam(predictor.decoder.path.parameters(), lr=1e-2)
    ratios = []
    for _ in range(40):
        with torch.no_grad():
            prediction = predictor(images, streams=NoiseStreams.numbered(NUMBERS, 0, "look"))
        loss, measured = PathLoss(predictor, 3)(prediction, NUMBERS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ratios.append((measured["path_last"] / measured["path_first"]).item())
    assert ratios[-1] < 0.8 * ratios[0]


def test_paths_are_learned_on_top_of_learned_refinement(folder, capsys):
    assert fit("--model.refinement.steps", 2, steps=2, every=2) == 0
    first = last_checkpoint(versions(folder)[0])
    options = ("--model.refinement.steps", 2, "--model.refinement.path_steps", 2, "--model.optimizer.lr", 0.01)
    assert fit(*options, "--model.start", first, steps=2, every=2) == 0
    run = versions(folder)[1]
    before, after = (torch.load(path, weights_only=True)["state_dict"] for path in (first, last_checkpoint(run)))
    averaged = [key for key in after if key.startswith("average.module.")]
    changed = [key for key in averaged if key not in before or not torch.equal(before[key], after[key])]
    assert changed
    assert all(key.startswith("average.module.path.") for key in changed)
    assert set(metrics(run, "train/path_last")) == {0, 1}
    assert metrics(run, "val/objective")
    predictor = load_predictor(last_checkpoint(run), classifier="helpers.networks.TinyNet")
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    config = PathConfig(settled=0.0, rounds=0)
    explainer = Amortized(predictor, lambda_k=10.0, rate=0.6, learned_steps=1, path_config=config)
    steps = 3 * len(config.rates) * config.learned_steps
    assert explainer.explain(image).extra["passes"].tolist() == [4 + 3 + steps] * 2
    capsys.readouterr()
    assert fit("--model.refinement.path_steps", 2, steps=2) == 2
    assert "refinement.steps must be" in told(capsys)
    assert fit(*options, steps=2) == 2
    assert "give it with model.start" in told(capsys)
    assert fit(*options, "--model.start", first, steps=2, panels=True) == 2
    assert "leave out PanelLogger" in told(capsys)
    other = ("--model.refinement.unrolled", "true", "--model.refinement.fewest_steps", 1)
    assert fit(*options, *other, "--model.start", first, steps=2) == 2
    assert "was trained with other settings of refinement" in told(capsys)
    others = ("--model.refinement.other_targets", 0.5)
    assert fit(*options, *others, "--model.start", first, steps=2) == 2
    assert "give its unrolled and other_targets" in told(capsys)
    others = ("--model.refinement.only", "true", "--model.refinement.other_targets", 1.0, "--model.start", first)
    assert fit(*options[:2], *others, steps=2, every=2) == 0
    written = ("--classifier", "helpers.networks.TinyNet")
    assert export(first, "before", "--others", last_checkpoint(versions(folder)[-1]), *written) == 0
    assert export(last_checkpoint(run), "after", "--others", "before", *written) == 0
    assert load_file("after/others.safetensors").keys() == load_file("before/others.safetensors").keys()
    predictor = load_predictor("after", classifier="helpers.networks.TinyNet")
    assert predictor.others.schedule.any_target
    assert predictor.decoder.path is not None
