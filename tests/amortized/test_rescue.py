"""Inputs that lose their class during a refinement are set back."""

from types import SimpleNamespace

import pytest
import torch

from amortex.amortized import predictor as module
from amortex.amortized.config import RefinementSchedule
from amortex.amortized.refiner import State
from amortex.amortized.rescue import Rescue
from amortex.core.noise_streams import NoiseStreams

ENCODED = SimpleNamespace(
    probabilities=torch.tensor([[0.8, 0.2]] * 3), target=torch.tensor([0, 0, 0]), predicted=torch.tensor([True] * 3),
    rate=lambda mask: mask.mean(1),
)  # fmt: skip
LOST, KEPT = 0.64, 0.0


def state(step, steps=20):
    """A state that tells its step."""
    values = torch.full((3, 3, 5), float(step))
    return State(values[:, 0] - 5, values, values, step, steps)


def follow(rescue, distortions, steps=20):
    """The step of each input's state after each step, and the sparsity weights."""
    now, seen, weights = state(0, steps), [], []
    for step, distortion in enumerate(distortions):
        weights.append(rescue.weight(step, torch.full((3,), 8.0)))
        now = rescue.state(step, torch.tensor(distortion), now, state(step + 1, steps))
        assert now.step == step + 1
        assert (now.recent[:, 0] - 5 == now.logits).all()
        seen.append(now.recent[:, 0, 0])
    return torch.stack(seen).int().tolist(), torch.stack(weights)


def test_after_two_lost_probes_an_input_goes_back_to_where_it_was_healthy():
    rescue = Rescue(ENCODED, torch.full((3,), 4.0), state(0), 20)
    # the first is lost after two steps, the second by accident, the third from the start
    distortions = [[KEPT, LOST, LOST], [KEPT, KEPT, LOST], [LOST, LOST, LOST], [LOST, KEPT, LOST], [KEPT, LOST, LOST]]
    steps, weights = follow(rescue, distortions)
    assert steps == [[1, 1, 1], [2, 2, 2], [3, 3, 3], [1, 4, 4], [5, 5, 5]]
    assert weights[:4].eq(8).all()
    assert weights[4].tolist() == pytest.approx([4 * (0.25 + 0.75 * 4 / 20), 8, 8])
    assert rescue.weight(20, torch.full((3,), 8.0)).tolist() == [4, 8, 8]


@pytest.mark.parametrize(("steps", "rescued"), [(18, True), (17, False)])
def test_the_last_steps_are_too_late(steps, rescued):
    rescue = Rescue(ENCODED, torch.full((3,), 4.0), state(0), steps)
    followed, _ = follow(rescue, [[KEPT] * 3, *[[LOST] * 3] * 4], steps)
    assert followed[2][0] == (0 if rescued else 3)


def test_a_rescued_mask_that_costs_more_than_the_class_is_worth_is_emptied():
    rescue = Rescue(ENCODED, torch.full((3,), 4.0), state(0, 60), 60)
    # the first two are rescued after three steps, the third is not
    follow(rescue, [[KEPT] * 3, [LOST, LOST, KEPT], [LOST, LOST, KEPT], *[[0.1, 0.1, KEPT]] * 40], 60)
    rates = torch.tensor([0.13, 0.14, 0.9])  # with a distortion of about 0.1, a rate up to 0.135 pays
    assert rescue.without_losing_masks(rates[:, None].expand(-1, 5)).mean(1).tolist() == pytest.approx([0.13, 0, 0.9])


@pytest.mark.parametrize(("steps", "kept"), [(20, True), (16, False)])
def test_refinement_comes_back_from_a_mask_that_loses_the_class(predictor, images, monkeypatch, steps, kept):
    masks = []

    def drops_all_at_a_weight_of_four(evidence, hidden, lambda_t, state, probe):
        logits = torch.where(lambda_t[:, None] >= 4, -20.0, state.logits)
        masks.append(logits.sigmoid())
        return State(logits, state.recent, state.long, state.step + 1, state.steps)

    def distortion(encoded, gradient):
        lost = masks[-1].mean(1) < 0.01 if masks else torch.zeros(len(images), dtype=torch.bool)
        return encoded.probabilities.amax(1).square() * lost

    monkeypatch.setattr(module, "probed_distortion", distortion)
    prediction = predictor(images)
    mask = predictor.refine(
        prediction, 4.0, steps, NoiseStreams.of(images, stream="refine"), prediction.mask(0.03),
        decoder=SimpleNamespace(refiner=drops_all_at_a_weight_of_four), schedule=RefinementSchedule(first_lambda=4.0),
    )  # fmt: skip
    assert (mask.mean(1) > 0.02).all() == kept
