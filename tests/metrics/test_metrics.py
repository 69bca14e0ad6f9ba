"""Metrics against closed forms and brute force, on classifiers whose answers are known."""

import math
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch import nn

from amortex.core.errors import InputError
from amortex.explainers.base import Explanation
from amortex.metrics import (
    METRICS,
    Hallucination,
    InsertionDeletion,
    MuFidelity,
    NoiseOutCurve,
    RateDistortionCurve,
    bootstrap_seeds,
    functional,
)
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.pixel import Pixel
from amortex.transforms.shearlet import Shearlet
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier


def explanation_of(rd, images, seed=0, signed=False):
    encoded = rd.encode(images)
    values = torch.randn(len(images), encoded.layout.k, generator=torch.Generator().manual_seed(seed)).to(images)
    mask = (values > 0.5).to(images)
    return Explanation(encoded, mask, values.abs(), values if signed else None)


@pytest.mark.parametrize("redundant", [False, True])
@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.__name__)
def test_metric_contract(kind, redundant, rd, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Shearlet(2)) if redundant else rd
    metric = kind(rd, **({"samples": 2} if "samples" in kind.__init__.__annotations__ else {}))
    explanation = explanation_of(rd, images)
    values = metric.evaluate(explanation)
    assert values.shape == (3, len(metric.columns))
    assert not values.isinf().any()
    metric.update(explanation)
    intervals = metric.compute()
    assert tuple(intervals) == metric.columns
    for name, column in zip(metric.columns, values.T, strict=True):
        if column.isfinite().all():
            centre = column.median() if name in metric.medians else column.mean()
            assert intervals[name].mean == pytest.approx(centre.item(), abs=1e-5)
            assert intervals[name].low <= intervals[name].mean + 1e-9
            assert intervals[name].images == 3
    alone = kind(rd, **({"samples": 2} if "samples" in kind.__init__.__annotations__ else {}))
    for index in (2, 0, 1):  # neither order nor batch matters
        part = slice(index, index + 1)
        alone.update(Explanation(explanation.encoded.of(part), explanation.mask[part], explanation.relevance[part]))
    for name, interval in alone.compute().items():
        assert interval == pytest.approx(intervals[name], abs=1e-4, nan_ok=True)


class LinearProbability(nn.Module):
    """Two classes, the logit of the first a sum of weighted pixels; the second 0."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logit = ((x + 1) / 2 * self.weights).flatten(1).sum(1)  # normalisation with 0.5, undone
        return torch.stack([logit, torch.zeros_like(logit)], 1)


def linear(weights):
    return RateDistortion(build_classifier(LinearProbability(weights), (3, 8, 8), "linear"), Pixel())


def test_insertion_deletion_and_mu_fidelity_of_a_linear_model_by_brute_force():
    generator = torch.Generator().manual_seed(0)
    weights, x = (
        torch.randn(1, 1, 8, 8, generator=generator).expand(1, 3, 8, 8),
        torch.rand(2, 3, 8, 8, generator=generator),
    )
    rd = linear(weights)
    encoded = rd.encode(x, torch.zeros(2, dtype=torch.long))
    share = (x * weights).sum(1).flatten(1)  # of each pixel in the logit: the exact attribution
    explanation = Explanation(encoded, (share > 0).float(), share.abs(), share)
    curves = functional.insertion_deletion(rd, explanation, 4)
    for image in range(2):
        order = share[image].abs().argsort(descending=True)
        for step in range(5):
            top, rest = order[: 16 * step], order[16 * step :]
            assert curves["insertion"][image, step] == pytest.approx(share[image, top].sum().sigmoid().item(), abs=1e-5)
            assert curves["deletion"][image, step] == pytest.approx(share[image, rest].sum().sigmoid().item(), abs=1e-5)
    areas = InsertionDeletion(rd, 4).evaluate(explanation)
    torch.testing.assert_close(areas[:, 0], torch.trapezoid(curves["insertion"], dx=0.25))
    torch.testing.assert_close(areas[:, 2], areas[:, 0] - areas[:, 1])
    chosen = functional.random_subsets(encoded, 64, 0.2)
    assert (chosen.sum(-1) == round(0.2 * 64)).all()
    drops = functional.subset_drops(rd, encoded, chosen)
    for image in range(2):
        parts = [share[image, subset].sum() for subset in chosen[image]]
        expected = [share[image].sum().sigmoid() - (share[image].sum() - part).sigmoid() for part in parts]
        torch.testing.assert_close(drops[image], torch.stack(expected), atol=1e-5, rtol=0)
        pearson = stats.pearsonr(torch.stack(parts).numpy(), torch.stack(expected).numpy()).statistic
        assert MuFidelity(rd, 64).evaluate(explanation)[image, 0].item() == pytest.approx(pearson, abs=1e-4)


def test_the_oracle_wins_where_the_relevant_entries_are_known():
    weights = torch.zeros(1, 3, 8, 8)
    weights[..., 2:4, 2:4] = torch.tensor([[4.0, -4.0], [-4.0, 4.0]])  # four pixels decide
    rd, x = linear(weights), torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    encoded = rd.encode(x)
    oracle = weights.abs().sum(1).flatten(1).expand(3, -1)
    noise = torch.rand(3, 64, generator=torch.Generator().manual_seed(3))
    rates = (0.0, 4 / 64, 0.25, 0.5, 1.0)
    best, random = (
        functional.rate_distortion_curve(rd, Explanation(encoded, relevance, relevance), rates, 16)
        for relevance in (oracle, noise)
    )
    assert best["l2"][:, 1:].max() < 1e-4  # from the rate of the four pixels on
    assert random["l2"][:, 1:4].mean() > 0.05
    assert (best["retained"][:, 1:] == 1).all()
    out = NoiseOutCurve(rd, rates, 16).evaluate(Explanation(encoded, oracle, oracle))
    curve = RateDistortionCurve(rd, rates, 16).evaluate(Explanation(encoded, oracle, oracle))
    torch.testing.assert_close(out[:, 1], curve[:, 0])  # without the four pixels it is as with nothing


def test_rank_correlation_within_levels_matches_scipy():
    a, b = (torch.randn(1, 40, generator=torch.Generator().manual_seed(s)).round() for s in (0, 1))  # with ties
    level = torch.arange(40) // 20
    for index, correlation in enumerate(functional.spearman_within_levels(a, b, level)[0]):
        on = level == index
        assert correlation.item() == pytest.approx(stats.spearmanr(a[0, on].numpy(), b[0, on].numpy()).statistic)


def test_rank_correlation_leaves_out_what_is_not_live():
    a, b = (torch.randn(3, 40, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    level, live = torch.arange(40) // 20, torch.ones(3, 40, dtype=torch.bool)
    live[1, 5:] = False  # nothing of the second level
    a, b = a * live, b * live
    found = functional.spearman_within_levels(a, b, level, live)
    torch.testing.assert_close(found[[0, 2]], functional.spearman_within_levels(a, b, level)[[0, 2]])
    assert found[1, 0].item() == pytest.approx(stats.spearmanr(a[1, :5].numpy(), b[1, :5].numpy()).statistic)
    assert found[1, 1].isnan()


@pytest.mark.parametrize("redundant", [False, True])
def test_conciseness_of_the_whole_image_is_one_and_it_hallucinates_nothing(redundant, rd, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Shearlet(2)) if redundant else rd
    explanation = explanation_of(rd, images)
    whole = Explanation(explanation.encoded, torch.ones_like(explanation.mask), explanation.relevance)
    for values in functional.conciseness_preciseness(rd, whole).values():
        torch.testing.assert_close(values, torch.ones(3), atol=1e-4, rtol=0)
    square = torch.zeros(1, 1, 32, 32)
    square[..., 8:24, 8:24] = 1.0
    assert functional.hallucination(square, square).item() == 0
    assert functional.hallucination(square, torch.full_like(square, 0.5)).item() == 0
    assert functional.hallucination(square, torch.zeros_like(square)).isnan()  # of an empty mask: no merit
    assert functional.hallucination(square, square.roll(6, -1)).item() > 0.2
    assert functional.hallucination(torch.zeros_like(square), square).isnan()


def test_a_class_is_neither_kept_nor_lost_where_outputs_are_no_numbers(rd):
    outputs = torch.tensor([[0.9, 0.1], [0.2, 0.8], [torch.nan, torch.nan]])
    assert functional.retains_class(rd, outputs, torch.zeros(3, dtype=torch.long)).tolist() == pytest.approx(
        [1, 0, math.nan], nan_ok=True
    )


def test_soft_empty_and_full_masks_are_shown_as_they_are_and_selections_by_their_relevance(rd, images):
    explanation = explanation_of(rd, images)
    mask = torch.full_like(explanation.mask, 0.3)
    mask[0], mask[1] = 0, 1
    assert torch.equal(replace(explanation, mask=mask).importance, mask)
    mask[0, 0], mask[1, 0] = 1, 0
    importance = replace(explanation, mask=mask).importance
    assert torch.equal(importance[:2], explanation.relevance[:2])
    assert torch.equal(importance[2:], mask[2:])


def test_seeds_belong_to_images(images):
    assert bootstrap_seeds(images)[1] == bootstrap_seeds(images[1:2])[0]


@pytest.mark.parametrize("size", [(32,), (8, 8, 8)])
@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.__name__)
def test_metrics_take_signals_with_any_number_of_axes(kind, size):
    convolution = {1: nn.Conv1d, 3: nn.Conv3d}[len(size)](2, 4, 3)
    network = nn.Sequential(convolution, nn.Tanh(), nn.Flatten(), nn.LazyLinear(5))
    network(torch.zeros(1, 2, *size))
    rd = RateDistortion(build_classifier(network, (2, *size), "signals"), Wavelet("haar", 2, dims=len(size)))
    explanation = explanation_of(rd, torch.rand(3, 2, *size, generator=torch.Generator().manual_seed(0)))
    metric = kind(rd, **({"samples": 2} if "samples" in kind.__init__.__annotations__ else {}))
    if kind is Hallucination:
        with pytest.raises(InputError, match="about edges of images"):
            metric.update(explanation)
    else:
        metric.update(explanation)
        assert all(math.isfinite(interval.mean) for interval in metric.compute().values())
