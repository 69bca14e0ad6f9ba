"""Masks of an exact rate: against a root finder, and their implicit gradient against finite differences."""

import functools

import pytest
import scipy.optimize
import torch
from scipy.special import expit

from amortex.amortized.budget import masks_of_rate, masks_through, raise_to


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
    masks = masks_of_rate(logits(3, 50_000, 2.0), rates, fine_steps=0)
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


def test_the_path_through_a_mask_is_nested_exact_and_passes_it():
    mask = logits(1, 1000, 4.0).sub(3).sigmoid()
    mean = mask.mean()
    rates = torch.cat([torch.linspace(0, 1, 9), mean[None]]).sort().values
    masks = masks_through(mask.expand(10, -1), rates)
    torch.testing.assert_close(masks.mean(1), rates, rtol=1e-4, atol=1e-6)
    assert (masks.diff(dim=0) >= -1e-6).all()
    torch.testing.assert_close(masks[rates == mean], mask, rtol=0, atol=1e-5)
    share = (rates[-2] - mean) / (1 - mean)  # of what each entry lacks
    torch.testing.assert_close(masks[-2], mask[0] + share * (1 - mask[0]))


def test_the_path_passes_its_waypoints():
    mask = logits(1, 1000, 4.0).sub(3).sigmoid()
    near = torch.where(torch.arange(1000) < 200, 1.0, mask)
    far = torch.where(torch.arange(1000) < 500, 1.0, near)
    rates = torch.cat([torch.linspace(0, 1, 9), near.mean()[None], far.mean()[None]]).sort().values
    masks = masks_through(mask.expand(11, -1), rates, near.expand(11, -1), far.expand(11, -1))
    torch.testing.assert_close(masks.mean(1), rates, rtol=1e-4, atol=1e-6)
    assert (masks.diff(dim=0) >= -1e-6).all()
    for waypoint in (near, far):
        torch.testing.assert_close(masks[rates == waypoint.mean()], waypoint, rtol=0, atol=1e-5)
    between = (far.mean() + near.mean()) / 2
    halfway = masks_through(mask, between[None], near, far)
    torch.testing.assert_close(halfway, (near + far) / 2)


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


@pytest.mark.parametrize("k", [300, 6000])
def test_entries_that_are_not_live_are_zero_and_all_others_as_without_them(k):
    generator = torch.Generator().manual_seed(0)
    logits, live = 3 * torch.randn(2, k, generator=generator), torch.zeros(2, k, dtype=torch.bool)
    live[0, : k // 2], live[1, 5:] = True, True
    rate = torch.tensor([0.1, 0.6])
    mask = masks_of_rate(logits, rate, live=live)
    assert not mask[~live].any()
    higher = raise_to(mask, 0.7, live=live)
    assert not higher[~live].any()
    for row in range(2):
        alone = masks_of_rate(logits[row : row + 1, live[row]], rate[row : row + 1])
        torch.testing.assert_close(mask[row : row + 1, live[row]], alone, atol=1e-5, rtol=0)
        torch.testing.assert_close(higher[row, live[row]].mean(), torch.tensor(0.7))
