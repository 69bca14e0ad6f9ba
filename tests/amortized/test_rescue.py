"""Inputs that lose their class during a refinement are set back."""

from types import SimpleNamespace

import pytest
import torch

from amortex.amortized import predictor as module
from amortex.amortized.config import RefinementSchedule, RescueConfig
from amortex.amortized.refiner import State
from amortex.amortized.rescue import Rescue
from amortex.core.noise_streams import NoiseStreams

P = 0.4  # of the class on the inputs
ENCODED = SimpleNamespace(
    probabilities=torch.tensor([[P, 0.2]] * 3), target=torch.tensor([0, 0, 0]), predicted=torch.tensor([True] * 3)
)
LOST, KEPT = 0.01, P


def state(step, steps=20):
    """A state that tells its step: in its masks, and in what it remembers of probes."""
    values = torch.full((3, 3, 5), float(step))
    return State(values[:, 0], values, values, step, steps)


def rescue_of(steps=20, averaged=2):
    return Rescue(ENCODED, torch.full((3,), 4.0), state(0, steps), steps, averaged, RescueConfig())


def follow(rescue, probabilities, steps=20):
    """The step that each input's mask is of after each step, and the sparsity weights."""
    now, seen, weights = state(0, steps), [], []
    for step, probability in enumerate(probabilities):
        weights.append(rescue.weight(step, torch.full((3,), 8.0)))
        now = rescue.state(step, torch.tensor(probability), now, state(step + 1, steps))
        assert now.step == step + 1
        assert now.recent.eq(step + 1).all()  # what probes have told is kept
        seen.append(now.logits[:, 0])
    return torch.stack(seen).int().tolist(), torch.stack(weights)


def test_after_two_lost_probes_an_input_goes_back_to_where_it_was_healthy():
    # the first is lost after two steps, the second by accident, the third from the start
    seen = [[KEPT, LOST, LOST], [KEPT, KEPT, LOST], [LOST, LOST, LOST], [LOST, KEPT, LOST], [KEPT, LOST, LOST]]
    rescue = rescue_of()
    steps, weights = follow(rescue, seen)
    assert steps == [[1, 1, 1], [2, 2, 2], [3, 3, 3], [1, 4, 4], [5, 5, 5]]
    assert weights[:4].eq(8).all()
    assert weights[4].tolist() == pytest.approx([4 * (0.25 + 0.75 * 4 / 20), 8, 8])
    assert rescue.weight(20, torch.full((3,), 8.0)).tolist() == [4, 8, 8]


def test_a_class_that_is_more_probable_than_on_the_input_is_not_lost():
    steps, _ = follow(rescue_of(), [[KEPT] * 3, *[[0.9, 2 * P, LOST]] * 3])
    assert steps[2] == [3, 3, 0]


@pytest.mark.parametrize(("steps", "averaged", "rescued"), [(18, 2, True), (17, 2, False), (18, 17, False)])
def test_the_last_steps_are_too_late(steps, averaged, rescued):
    followed, _ = follow(rescue_of(steps, averaged), [[KEPT] * 3, *[[LOST] * 3] * 4], steps)
    assert followed[2][0] == (0 if rescued else 3)


@pytest.mark.parametrize(("steps", "kept"), [(20, True), (16, False)])
def test_refinement_comes_back_from_a_mask_that_loses_the_class(predictor, images, monkeypatch, steps, kept):
    masks, probe = [], module.probe

    def drops_all_at_a_weight_of_four(evidence, hidden, lambda_t, state, probe):
        logits = torch.where(lambda_t[:, None] >= 4, -20.0, state.logits)
        masks.append(logits.sigmoid())
        return State(logits, state.recent, state.long, state.step + 1, state.steps)

    def without_the_class(rd, encoded, mask, *arguments, **options):
        probed = probe(rd, encoded, mask, *arguments, **options)
        log_probability = torch.where(mask.mean(1) < 0.01, -9.0, encoded.probabilities.amax(1).log())
        return probed._replace(log_probability=log_probability)

    monkeypatch.setattr(module, "probe", without_the_class)
    prediction = predictor(images)
    mask = predictor.refine(
        prediction, 4.0, steps, NoiseStreams.of(images, stream="refine"), prediction.mask(0.2),
        decoder=SimpleNamespace(refiner=drops_all_at_a_weight_of_four), schedule=RefinementSchedule(first_lambda=4.0),
    )  # fmt: skip
    assert (mask.mean(1) > 0.1).all() == kept
    free_of_charge = predictor.refine(prediction, 0.0, steps, NoiseStreams.of(images, stream="refine"))
    assert free_of_charge.isfinite().all()
