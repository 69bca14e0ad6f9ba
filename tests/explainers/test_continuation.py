"""The sparsity weight of CartoonX's presets follows the damage."""

import pytest
import torch

from amortex.explainers.continuation import Continuation


@pytest.mark.parametrize(("is_norm", "damage"), [(False, 0.2), (True, 0.04)])
def test_the_weight_is_reduced_in_proportion_to_the_damage_which_is_squared_for_norms(is_norm, damage):
    full, empty = torch.tensor([0.1]), torch.tensor([1.1])
    continuation = Continuation(4.0, 10.0, 0.5, full, empty, torch.ones(1, 8), torch.tensor([is_norm]))
    weight = continuation.lambda_t(0.0, torch.tensor([0.3]))
    # at the start 10 sqrt(4) (1.1 - 0.1) = 20 without damage
    assert weight.item() == pytest.approx(4 + 16 * (1 - damage / 0.5))


@pytest.mark.parametrize("is_norm", [False, True])
def test_a_ruined_mask_is_set_back_to_its_last_healthy_state(is_norm):
    ends = torch.tensor([0.0]), torch.tensor([1.0])
    continuation = Continuation(4.0, 10.0, 0.5, *ends, torch.ones(1, 8), torch.tensor([is_norm]))
    healthy, moments = torch.full((1, 8), 0.5), [torch.ones(1, 8)]
    continuation.lambda_t(0.0, torch.tensor([0.1]))
    continuation.restore_ruined(0.0, healthy.clone(), moments)
    mask = torch.zeros(1, 8)
    for _ in range(20):
        continuation.lambda_t(0.0, torch.tensor([1.0]))
    continuation.restore_ruined(0.1, mask, moments)
    assert torch.equal(mask, healthy)
    assert moments[0].count_nonzero() == 0
    continuation.lambda_t(0.1, continuation.smoothed)
    assert continuation.damage.item() == pytest.approx(0.5)  # as far from health as is tolerated
