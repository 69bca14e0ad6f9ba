"""Means over images with their intervals, and what relates amortized explanations to exact ones."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from amortex.metrics import AmortizationGap, BreakEven, ExplanationTime, ImageMean
from amortex.metrics.base import REPLICATES


def test_means_match_numpy_and_the_interval_the_bootstrap():
    values = torch.rand(200, 2, generator=torch.Generator().manual_seed(1))
    values[0, 1] = torch.nan
    metric = ImageMean(["a", "b"])
    metric.update(values, range(200))
    intervals = metric.compute()
    assert intervals["a"].mean == pytest.approx(values[:, 0].mean().item())
    assert intervals["b"].mean == pytest.approx(values[1:, 1].mean().item())
    assert intervals["b"].images == 199
    ordinary = stats.bootstrap((values[:, 0].numpy(),), np.mean, n_resamples=2000, rng=np.random.default_rng(0))
    assert intervals["a"].low == pytest.approx(ordinary.confidence_interval.low, abs=0.006)
    assert intervals["a"].high == pytest.approx(ordinary.confidence_interval.high, abs=0.006)
    assert metric.total.shape[0] == 1 + REPLICATES  # memory does not grow with the images


def test_figures_that_are_not_finite_are_left_out():
    mean = ImageMean(["a"])
    mean.update(torch.tensor([[1.0], [torch.inf], [torch.nan]]), [1, 2, 3])
    assert mean.compute()["a"][::3] == (1.0, 1)


def test_gap_break_even_and_time():
    gap = AmortizationGap()
    gap.update(torch.tensor([[0.2, 0.4], [0.6, 0.8]]), torch.tensor([[0.1, 0.1], [0.2, 0.4]]), [1, 2])
    intervals = gap.compute()
    assert intervals["gap"].mean == pytest.approx(2.0 / 0.8)
    assert intervals["median_ratio"].mean == pytest.approx(2.5, rel=0.003)  # of the ratios 2, 2, 3, 4
    for ratio in (0.5, 1.0, 3.0):
        constant = AmortizationGap()
        constant.update(torch.full((3, 2), ratio), torch.ones(3, 2), [1, 2, 3])
        assert constant.compute()["median_ratio"].mean == pytest.approx(ratio, rel=0.003)
    lacking = AmortizationGap()
    lacking.update(torch.tensor([[0.2, 0.3], [0.9, torch.nan]]), torch.full((2, 2), 0.1), [1, 2])
    assert lacking.compute()["median_ratio"].mean == pytest.approx(2.5, rel=0.003)
    nothing = AmortizationGap()
    nothing.update(torch.full((1, 1), torch.nan), torch.ones(1, 1), [1])
    assert math.isnan(nothing.compute()["median_ratio"].mean)
    partly = AmortizationGap()
    partly.update(torch.tensor([[0.2], [torch.nan]]), torch.tensor([[0.1], [0.3]]), [1, 2])
    assert partly.compute()["gap"].mean == pytest.approx(2.0)  # an image that lacks one side counts for neither
    even = BreakEven(100.0)
    even.update(torch.tensor([10.0, 12.0]), torch.tensor([1.0, 1.0]), [1, 2])
    assert tuple(even.compute()["images"])[:3] == pytest.approx((10.0, 100 / 11, 100 / 9))
    never = BreakEven(100.0)
    never.update(torch.tensor([1.0]), torch.tensor([2.0]), [1])
    assert never.compute()["images"].mean == float("inf")
    assert math.isnan(never.compute()["images"].high)  # a single image has no interval
    time = ExplanationTime()
    time.update(torch.tensor([1.0, 3.0]), torch.tensor([4.0, 4.0]), [1, 2])
    assert time.compute()["seconds"].mean == 2.0
