"""Curves over the share of coefficients: areas, and the best rate."""

import math

import pytest
import torch

from amortex.core.errors import InputError
from amortex.metrics import (
    InsertionDeletion,
    RateDistortionCurve,
    functional,
)


def test_curves_of_one_interval_are_refused(rd):
    with pytest.raises(InputError, match="at least 2 steps, not 1"):
        InsertionDeletion(rd, 1)


@pytest.mark.parametrize("draws", [2, 3, 8])
def test_the_best_rate_is_measured_on_noise_that_did_not_choose_it(draws):
    rates, lambda_k = (0.0, 0.1, 0.2, 0.4, 0.8), 0.5
    rate = torch.tensor(rates, dtype=torch.float64)
    noise = torch.randn(20_000, len(rates), draws, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    distortion = (1 - lambda_k * rate)[:, None] + 0.1 * noise  # J is 1 at every rate
    lowest = (distortion.mean(2) + lambda_k * rate).amin(1)
    assert lowest.mean().item() < 0.96
    crossed = functional.best_objective(rates, distortion, lambda_k)
    assert abs(crossed.mean().item() - 1) < 4 * crossed.std().item() / math.sqrt(len(crossed))


def test_the_best_objective_of_known_curves():
    rates, curve = (0.0, 0.5, 1.0), torch.tensor([[0.7, 0.1, 0.0], [0.2, 0.1, 0.0]])
    same = functional.best_objective(rates, curve[..., None].expand(-1, -1, 4), lambda_k=1.0)
    torch.testing.assert_close(same, torch.tensor([0.6, 0.2]))
    single = functional.best_objective(rates, curve[..., None], lambda_k=1.0)  # where nothing is random
    torch.testing.assert_close(single, same)
    spread = torch.tensor([-0.01, 0.02, 0.0, -0.01])  # not enough to choose another rate
    torch.testing.assert_close(functional.best_objective(rates, curve[..., None] + spread, lambda_k=1.0), same)
    unknown = torch.cat([curve[:1], torch.full((1, 3), torch.nan)])[..., None].expand(-1, -1, 4)
    assert functional.best_objective(rates, unknown, lambda_k=1.0).isfinite().tolist() == [True, False]


def test_a_single_draw_cannot_choose_a_rate_and_measure_it(rd):
    with pytest.raises(InputError, match="at least 2 samples, not 1"):
        RateDistortionCurve(rd, samples=1, lambda_k=5.0)


def test_areas_of_known_curves():
    rates = (0.0, 0.005, 0.05, 1.0)
    values = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.005, 0.05, 1.0]])
    torch.testing.assert_close(functional.area(rates, values), torch.tensor([1.0, 0.5]))
    assert functional.area(rates, values, logarithmic=True)[0].item() == pytest.approx(1.0)
