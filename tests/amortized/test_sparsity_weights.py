"""Sparsity weights that rise to lambda_k, and that fall to it."""

import itertools

import pytest
import torch

from amortex.amortized.config import FallConfig, RefinementSchedule
from amortex.amortized.sparsity_weights import FallingWeight, RisingWeight
from amortex.core.noise_streams import NoiseStreams

LAMBDA_K = torch.tensor([4.0, 10.0], dtype=torch.float64)
NO_DISTORTION = torch.zeros(2, dtype=torch.float64)


def test_a_rising_weight_goes_from_its_start_to_lambda_k_by_equal_factors():
    weight = RisingWeight(LAMBDA_K, torch.tensor([1.0, 20.0], dtype=torch.float64), 8, RefinementSchedule(rise=0.5))
    steps = torch.stack([weight(step, NO_DISTORTION) for step in range(8)])
    torch.testing.assert_close(steps[:4, 0], 4.0 ** (torch.arange(1, 5, dtype=torch.float64) / 4))
    assert (steps[3:, 0] == 4).all()
    torch.testing.assert_close(steps[:, 1], torch.full_like(steps[:, 1], 10))  # it never begins above lambda_k


def test_a_falling_weight_goes_from_its_peak_to_lambda_k_while_the_class_is_kept():
    weight = FallingWeight(LAMBDA_K, torch.ones(2), 10, FallConfig(peak=6, descent=0.5))
    steps = torch.stack([weight(step, NO_DISTORTION) for step in range(10)]) / LAMBDA_K
    expected = torch.tensor([6, 5, 4, 3, 2, 1, 1, 1, 1, 1], dtype=torch.float64)
    torch.testing.assert_close(steps, expected[:, None].expand(-1, 2))


def test_it_is_lower_the_more_of_the_class_is_lost_by_a_running_mean():
    config = FallConfig(peak=3, tolerance=0.5, memory=0.75)
    weight = FallingWeight(LAMBDA_K[:1], torch.tensor([0.4]), 10, config)
    first = weight(0, torch.tensor([0.05]))  # a quarter of what is tolerated
    assert first.item() == pytest.approx(4 * (1 + 2 * 0.75))
    second = weight(0, torch.tensor([0.25]))  # in the mean one half
    assert second.item() == pytest.approx(4 * (1 + 2 * 0.5))
    assert [weight(0, torch.tensor([1.0])).item() for _ in range(3)] == [4, 4, 4]


def test_each_input_may_have_a_schedule_of_its_own():
    steps = torch.tensor([4.0, 8.0], dtype=torch.float64)
    weight = RisingWeight(LAMBDA_K, torch.ones_like(LAMBDA_K), steps, RefinementSchedule(rise=1))
    expected = torch.stack([LAMBDA_K[0], LAMBDA_K[1] ** 0.5])
    torch.testing.assert_close(weight(3, NO_DISTORTION), expected)


def test_with_many_learned_steps_the_weight_falls_for_predicted_classes_and_rises_for_others(predictor, images):
    schedule = predictor.schedule = RefinementSchedule(fall=FallConfig(peak=8), falling_steps=(4, 5))
    seen: list[torch.Tensor] = []
    predictor.decoder.refiner.register_forward_hook(lambda module, arguments, state: seen.append(arguments[2]))
    second = predictor.rate_distortion.encode(images).probabilities.topk(2, 1).indices[:, 1]
    target = second.where(torch.tensor([True, False, False]), predictor.rate_distortion.encode(images).target)
    for steps in (3, 4, 5, 6):
        seen.clear()
        prediction = predictor(images, target, NoiseStreams.of(images))
        predictor.refine(prediction, 2.0, steps, NoiseStreams.of(images))
        other, *predicted = torch.stack(seen, 1)
        assert torch.equal(other, other.sort().values)
        assert all((weight[0] > 2 * schedule.first_lambda) == (steps in schedule.falling_steps) for weight in predicted)
        assert all(weight[-1] == 2 for weight in (other, *predicted))


def test_the_weight_of_unrolled_steps_always_falls(predictor, images):
    predictor.schedule = RefinementSchedule.trained_by({"steps": 4, "unrolled": True})
    seen: list[torch.Tensor] = []
    predictor.decoder.refiner.register_forward_hook(lambda module, arguments, state: seen.append(arguments[2]))
    second = predictor.rate_distortion.encode(images).probabilities.topk(2, 1).indices[:, 1]
    for target, steps in itertools.product((None, second), (4, 70)):
        seen.clear()
        predictor.refine(predictor(images, target, NoiseStreams.of(images)), 2.0, steps, NoiseStreams.of(images))
        weights = torch.stack(seen, 1)
        assert (weights >= 2).all()  # that of a class that is lost is the last one from the start
        assert target is not None or (weights[:, 0] > 2).any()
        assert (weights[:, -1] == 2).all()
