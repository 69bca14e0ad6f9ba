"""Masks of an exact rate: against a root finder, and their implicit gradient against finite differences."""

import functools

import pytest
import scipy.optimize
import torch
from scipy.special import expit

from amortex.predictors.budget import masks_of_rate, masks_through


def logits(batch: int, k: int, scale: float, dtype=torch.float32) -> torch.Tensor:
    return scale * torch.randn(batch, k, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("scale", [0.0, 0.1, 1.0, 5.0, 30.0])
@pytest.mark.parametrize("k", [5, 3000])
def test_means_are_exact(scale, k):
    rates = torch.tensor([0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.999, 1.0])
    masks = masks_of_rate(logits(len(rates), k, scale), rates)
    torch.testing.assert_close(masks.mean(1), rates, rtol=1e-4, atol=1e-6)
    assert masks.min() >= 0
    assert masks.max() <= 1


def test_without_fine_steps_the_means_of_large_masks_are_nearly_right():
    rates = torch.tensor([0.1, 0.4, 0.9])
    masks = masks_of_rate(logits(3, 50_000, 2.0), rates, fine=0)
    torch.testing.assert_close(masks.mean(1), rates, rtol=2e-3, atol=0)


def test_means_are_exact_for_stripes():
    stripes = torch.full((100, 640), -12.0)
    stripes[:, ::64] = 10.0  # every 16th entry, counted through the rows, sees all of them or none
    values = (stripes.flatten() + 0.5 * torch.randn(64_000, generator=torch.Generator().manual_seed(0))).expand(3, -1)
    rates = torch.tensor([0.003, 0.03, 0.3])
    for shift in (0, 1):
        torch.testing.assert_close(masks_of_rate(values.roll(shift, 1), rates).mean(1), rates, rtol=1e-4, atol=0)


def test_masks_equal_those_of_a_root_finder():
    values = logits(3, 400, 3.0, torch.float64)
    for row, rate in zip(values, (0.02, 0.4, 0.9), strict=True):
        distance = functools.partial(lambda v, r, c: expit(v + c).mean() - r, row.numpy(), rate)
        shift = scipy.optimize.brentq(distance, -100, 100, xtol=1e-12)
        mask = masks_of_rate(row[None], torch.tensor([rate]))[0]
        torch.testing.assert_close(mask, torch.sigmoid(row + shift), rtol=0, atol=1e-6)


def test_masks_are_nested():
    values = logits(1, 1000, 4.0).expand(9, -1)
    masks = masks_of_rate(values, torch.linspace(0, 1, 9))
    assert (masks.diff(dim=0) >= -1e-6).all()


@pytest.mark.parametrize("down", [6.0, 3.0, -3.0])  # means of about 0.06, 0.2 and 0.8
def test_the_way_through_a_mask_is_nested_exact_and_passes_it(down):
    mask = logits(1, 1000, 4.0).sub(down).sigmoid()
    own = mask.mean()
    rates = torch.cat([torch.linspace(0, 1, 41), own[None]]).sort().values
    masks = masks_through(mask.expand(42, -1), rates, logits(2, 1000, 1.0)[1:].expand(42, -1))
    torch.testing.assert_close(masks.mean(1), rates, rtol=1e-4, atol=1e-6)
    assert (masks.diff(dim=0) >= -1e-6).all()
    torch.testing.assert_close(masks[rates == own], mask, rtol=0, atol=1e-5)
    assert (masks[-1] == 1).all()


def test_beyond_a_mask_what_matters_least_is_let_in_whole_for_a_while_and_all_else_rises_evenly():
    mask, damage = torch.full((1, 1000), 0.05), torch.arange(1000.0)[None]

    def at(rate):
        return masks_through(mask, torch.tensor([rate]), damage)[0]

    torch.testing.assert_close(at(0.08), torch.full((1000,), 0.08))
    even = 0.1 * 3**0.6  # of all, at 0.3
    whole = (0.3 - even) / (1 - even) * 1000
    assert (at(0.3) == 1).sum() == int(whole)
    torch.testing.assert_close(at(0.3)[int(whole) + 1 :], torch.full((999 - int(whole),), even))
    assert at(0.3)[: int(whole)].eq(1).all()
    # from 30 % on, everything by the same share of what it lacks
    torch.testing.assert_close(1 - at(0.75), (1 - at(0.5)) / 2)
    # without damages, at all rates
    torch.testing.assert_close(masks_through(mask, torch.tensor([0.3])), torch.full((1, 1000), 0.3))
    # twice the mask's own rate comes first, but not less than 5 %
    sparse = torch.full((1, 1000), 0.01)
    torch.testing.assert_close(masks_through(sparse, torch.tensor([0.05]), damage), torch.full((1, 1000), 0.05))
    assert (masks_through(sparse, torch.tensor([0.08]), damage) == 1).any()
    # a mask that keeps more is on the even part of its own way
    torch.testing.assert_close(masks_through(mask + 0.55, torch.tensor([0.8]), damage), torch.full((1, 1000), 0.8))


def test_gradient_is_that_of_the_exact_mask():
    values, rate = logits(2, 60, 2.0, torch.float64), torch.tensor([0.1, 0.6], dtype=torch.float64)
    weights = torch.randn(60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    leaf = values.clone().requires_grad_()
    (masks_of_rate(leaf, rate) @ weights).sum().backward()
    for direction in torch.eye(60, dtype=torch.float64)[::7]:
        up, down = ((masks_of_rate(values + s * 1e-5 * direction, rate) @ weights).sum() for s in (1, -1))
        expected = (up - down).item() / 2e-5
        assert (leaf.grad @ direction).sum().item() == pytest.approx(expected, abs=1e-6)
    assert torch.autograd.grad(masks_of_rate(leaf, rate).mean(), leaf)[0].abs().max() < 1e-9  # the mean cannot move
