"""The loss of learned refinement: its gradient against autograd, that it learns, and training from end to end."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.evidence import probe
from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.amortized.refiner import initial_state, marginal_gain, probed_distortion
from amortex.amortized.sparsity_weights import FallingWeight
from amortex.core.noise_streams import NoiseStreams, uniform
from amortex.rate_distortion.distortions import KL_WEIGHT
from amortex.training.config import RefinementConfig
from amortex.training.refinement import Refinement, log_uniform
from helpers.photographs import photographs
from helpers.predictors import stirred
from helpers.training import fit, metrics, versions


def loss_of(predictor: MaskPredictor, steps: int = 1, unrolled: bool = False) -> Refinement:
    predictor.schedule = replace(predictor.schedule, unrolled=unrolled)
    return Refinement(predictor, RefinementConfig(steps, unrolled=unrolled, fewest_steps=steps), (1.0, 5.0))


def test_one_step_has_the_gradient_of_the_objective(predictor, images):
    """Against autograd through the obfuscation and the classifier, where training cuts the graph at the mask."""
    stirred(predictor)
    rd, numbers = predictor.rate_distortion, [0, 1, 2]
    refiner = predictor.decoder.refiner
    prediction = predictor(images, streams=NoiseStreams.numbered(numbers, 0, "look"))
    loss, measured = loss_of(predictor)(prediction, numbers, 0)
    gradients = torch.autograd.grad(loss, list(refiner.parameters()))

    inputs: dict[str, torch.Tensor] = {}
    handle = refiner.register_forward_hook(
        lambda module, arguments, state: inputs.update(lambda_t=arguments[2], logits=arguments[3].logits)
    )
    loss_of(predictor)(prediction, numbers, 0)
    handle.remove()
    streams = NoiseStreams.numbered(numbers, 0, "refine")
    start = initial_state(inputs["logits"].sigmoid(), None)._replace(logits=inputs["logits"])
    gradient = probe(rd, prediction.encoded, start.mask, streams, mask_gradient=True)
    state = refiner(prediction.evidence, prediction.hidden, inputs["lambda_t"], start, gradient)
    q = rd.outputs(prediction.encoded, state.mask, rd.noise(prediction.encoded, streams, slice(None), 1))[:, 0]
    q, p = (
        values.gather(1, prediction.encoded.target[:, None])[:, 0] for values in (q, prediction.encoded.probabilities)
    )
    distortion = (q - p).square()
    divergence = -(p * q.log() + (1 - p) * (1 - q).log())
    rate = state.mask.mean(1)
    expected = torch.autograd.grad(
        (distortion + KL_WEIGHT * divergence + inputs["lambda_t"] * rate).mean(), list(refiner.parameters())
    )
    torch.testing.assert_close(gradients, expected, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(measured["refine_last"], (distortion + inputs["lambda_t"] * rate).mean())


def test_unrolled_steps_have_the_gradient_of_where_they_lead(predictor, images):
    """Against two steps whose probes are constants, with the path through the first one."""
    numbers, refiner, calls = [0, 1, 2], predictor.decoder.refiner, []
    prediction = stirred(predictor)(images, streams=NoiseStreams.numbered(numbers, 0, "look"))
    encoded = prediction.encoded
    handle = refiner.register_forward_hook(lambda module, arguments, state: calls.append((*arguments, state)))
    with torch.no_grad():
        loss_of(predictor, 2, unrolled=True)(prediction, numbers, 0)
    handle.remove()
    (*given, first, start, first_probe, _), (_, _, second, middle, second_probe, end) = calls
    objective = loss_of(predictor, 2, unrolled=True)
    draws = NoiseStreams.numbered(numbers, 0, "price").fill(uniform, slice(None), 1, (4,), torch.float32)[:, 0, 0]
    lambda_k = log_uniform(draws, objective.lowest_lambda, objective.highest_lambda)
    falling = FallingWeight(lambda_k, encoded.probabilities.amax(1).square(), 2, predictor.schedule.fall)
    for step, (weight, probed) in enumerate(((first, first_probe), (second, second_probe))):
        torch.testing.assert_close(weight, falling(step, probed_distortion(encoded, probed)))
    assert (first > lambda_k).any()
    streams = NoiseStreams.numbered(numbers, 0, "refine")
    *seen, at_the_end = [
        probe(predictor.rate_distortion, encoded, state.mask, streams, mask_gradient=True)
        for state in (start, middle, end)
    ]
    torch.testing.assert_close(seen, [first_probe, second_probe])

    def expected(through):
        one = refiner(*given, first, start, first_probe)
        two = refiner(*given, second, one if through else middle, second_probe)
        parts = [
            share * (state.mask * (lambda_k[:, None] - marginal_gain(encoded, probed)) / encoded.entries).sum(1)
            for share, state, probed in ((0.5**4, one, second_probe), (1.0, two, at_the_end))
        ]
        return (sum(parts) / (1 + 0.5**4) / (0.05 + 0.03 * lambda_k)).mean()

    weights = list(refiner.parameters())
    loss, _ = objective(prediction, numbers, 0)
    gradients, through, cut = (torch.autograd.grad(value, weights) for value in (loss, expected(True), expected(False)))
    torch.testing.assert_close(loss, expected(True))
    torch.testing.assert_close(gradients, through, rtol=1e-3, atol=1e-6)
    assert max((a - b).abs().max() / a.abs().max() for a, b in zip(through, cut, strict=True)) > 0.01


def test_unrolled_steps_differ_in_number_from_batch_to_batch(predictor):
    config = RefinementConfig(12, unrolled=True, fewest_steps=3)
    first, same, other = (
        [Refinement(predictor, config, (1.0,), seed).number_of_steps(step) for step in range(100)] for seed in (0, 0, 1)
    )
    assert (min(first), max(first)) == (3, 12)
    assert first == same != other


@pytest.mark.parametrize("unrolled", [False, True])
def test_it_learns_to_lower_the_objective(predictor, images, unrolled):
    objective, numbers = loss_of(predictor, 3, unrolled), [0, 1, 2]
    optimizer = torch.optim.Adam(predictor.decoder.refiner.parameters(), lr=1e-2)
    costs = []
    for _ in range(30):
        with torch.no_grad():
            prediction = predictor(images, streams=NoiseStreams.numbered(numbers, 0, "look"))
        loss, measured = objective(prediction, numbers, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        costs.append(measured["refine_last"].item())
    assert costs[-1] < 0.8 * costs[0]


def test_refinement_is_trained_on_top_of_a_trained_explainer(folder, capsys):
    assert fit(steps=2, every=2) == 0
    first = versions(folder)[0] / "checkpoints/last.ckpt"
    more = (
        "--model.start", first, "--model.refinement.steps", 2, "--model.refinement.only", "true",
        "--model.optimizer.lr", 0.01,
    )  # fmt: skip
    assert fit(*more, steps=4, every=2) == 0
    run = versions(folder)[1]
    last = run / "checkpoints/last.ckpt"
    before, after = (torch.load(path, weights_only=True)["state_dict"] for path in (first, last))
    averaged = [key for key in after if key.startswith("average.module.")]
    changed = [key for key in averaged if key not in before or not torch.equal(before[key], after[key])]
    assert changed
    assert all(key.startswith("average.module.refiner.") for key in changed)
    assert set(metrics(run, "train/refine_last")) == {0, 1, 2, 3}
    predictor = load_predictor(last, classifier="helpers.networks.TinyNet")
    explainer = Amortized(predictor, learned_steps=3)
    photographs(Path("more"), "a.png")
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    steps: list[int] = []
    explanation = explainer.explain(image, on_step=lambda step, mask: steps.append(step))
    assert steps == [1, 2, 3]
    assert explanation.extra["passes"].tolist() == [4 + 3 * 3] * 2
    # a run goes on where it stopped, not where it started
    assert fit("--ckpt_path", last, steps=6, every=2) == 0
    assert set(metrics(versions(folder)[2], "train/refine_last")) == {4, 5}
    assert fit("--model.start", last, "--model.predictor.width", 16, steps=2) == 2
    assert "is built otherwise" in capsys.readouterr().err
    assert fit("--model.start", "nowhere.ckpt", steps=2) == 2
    assert "no explainer at nowhere.ckpt" in capsys.readouterr().err


@pytest.mark.parametrize("unrolled", ["false", "true"])
def test_both_are_trained_together(folder, unrolled):
    options = ("--model.refinement.steps", 2, "--model.refinement.unrolled", unrolled)
    fewest = ("--model.refinement.fewest_steps", 1)
    assert fit(*options, *fewest, "--model.optimizer.lr", 0.01, steps=3, every=3) == 0
    weights = torch.load(versions(folder)[0] / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert weights["predictor.decoder.slope"] != 2.0  # where training starts
    assert weights["predictor.decoder.refiner.shift.weight"].abs().sum() > 0
    for name in ("train/loss", "train/refine_first", "train/refine_last"):
        assert metrics(versions(folder)[0], name)
