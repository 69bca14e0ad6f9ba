"""Masks of every rate: what measurements choose, and when densification paths are computed."""

import copy

import pytest
import torch

from amortex.amortized.config import PathConfig, PredictorConfig
from amortex.amortized.explainer import Amortized
from amortex.amortized.mask_path import MaskPath
from amortex.amortized.path_optimizer import optimal_midpoints, path_start
from amortex.amortized.predictor import MaskPredictor
from amortex.core.masks import log_spaced_rates
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.presets import SelectionConfig
from amortex.explainers.rate_search import Bound
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.predictors import stirred


@pytest.fixture
def predictor(tiny_classifier):
    torch.manual_seed(0)
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    return stirred(MaskPredictor(rd, PredictorConfig(width=8), refiner=True)).eval()


def test_rates_that_alone_cost_too_much_are_not_measured(predictor, images):
    classifier = predictor.rate_distortion.classifier
    path = MaskPath(predictor, predictor(images), None, hard=False)
    with classifier.count_passes(3) as counter:
        chosen = path.best_rate(1e3)
    assert torch.equal(chosen, path.rates()[:, 0])
    assert counter.per_image.tolist() == [path.samples] * 3
    with classifier.count_passes(3) as counter:
        assert torch.equal(path.best_rate(0.0), torch.ones(3))  # the full mask, which is the last, has no distortion
    assert counter.per_image.tolist() == [SelectionConfig().rates * path.samples] * 3


class OfRates(Bound):
    """Holds for masks of some rates, by their places among all."""

    confirmation_samples = 20

    def __init__(self, promising, held):
        self.promising, self.held = promising, held
        self.tried, self.draws, self.distortions = [], [], set()

    def promises(self, outcome, random):
        return self._answer(outcome, self.promising)

    def holds(self, outcome, random):
        return self._answer(outcome, self.held)

    def _answer(self, outcome, places):
        self.tried.append(outcome.rate.item())
        self.draws.append(outcome.distortion.shape[1])
        self.distortions.add(outcome.distortion[0, 0].item())
        rates = log_spaced_rates(SelectionConfig().rates, outcome.rate.device)
        return torch.isin((rates - outcome.rate).abs().argmin(), torch.tensor(places))[None]


def test_a_bound_is_confirmed_where_it_held_at_first(predictor, images):
    path = MaskPath(predictor, predictor(images[:1]), None, hard=False)
    rates, bound = path.rates()[0], OfRates(promising=(3, 9), held=(4, 9))
    with predictor.rate_distortion.classifier.count_passes(1) as counter:
        assert path.lowest_rate(bound).item() == rates[9].item()
    index = [int((rates - rate).abs().argmin()) for rate in bound.tried]
    assert [i for i, draws in zip(index, bound.draws, strict=True) if draws == path.samples] == list(range(10))
    assert [i for i, draws in zip(index, bound.draws, strict=True) if draws == bound.confirmation_samples] == [3, 9]
    assert len(bound.distortions) == 12  # no noise is used twice
    assert counter.total == 10 * path.samples + 2 * bound.confirmation_samples


def test_how_rates_are_selected_is_a_setting(predictor, images):
    selection = SelectionConfig(rates=4, samples=2)
    explainer = Amortized(predictor, 0.0, select_rate=True, learned_steps=0, selection=selection)
    assert explainer.explain(images).extra["passes"].tolist() == [4 + 4 * 2] * 3
    assert explainer.settings()["selection"] == repr(selection)


def test_a_path_is_computed_once_and_for_the_images_that_need_it(predictor, images):
    rd, prediction = predictor.rate_distortion, predictor(images)
    refined = torch.tensor([0.02, 0.2, 0.6])[:, None].repeat(1, prediction.logits.shape[1])
    path = MaskPath(predictor, prediction, refined, hard=False)
    masks, counts = {}, []
    with rd.classifier.count_passes(3) as counter:
        for rate, computed in ((0.05, []), (1.0, []), (0.1, [0]), (0.3, [0, 1]), (0.8, [0, 1]), (0.1, [0, 1])):
            mask = path.mask(torch.full((3,), rate))
            torch.testing.assert_close(mask.mean(1), torch.full((3,), rate), rtol=1e-3, atol=1e-5)
            assert counter.per_image.nonzero()[:, 0].tolist() == computed
            torch.testing.assert_close(masks.setdefault(rate, mask), mask)
            counts.append(counter.per_image.tolist())
    with rd.classifier.count_passes(3) as counter:
        optimal_midpoints(rd, prediction.encoded, path_start(refined, path.config), path.config)
    assert counts[-1] == [*counter.per_image[:2].tolist(), 0]
    assert counts[-1] == counts[-3] != counts[2]  # once
    stacked = torch.stack([masks[rate] for rate in sorted(masks)])
    assert (stacked.diff(dim=0) >= -1e-5).all()  # nested


def test_an_image_gets_the_same_path_in_any_batch(predictor, images):
    explainer, config = Amortized(predictor, rate=0.4, learned_steps=2), PathConfig()
    together, alone = explainer.explain(images), explainer.explain(images[1:2])
    torch.testing.assert_close(alone.mask[0], together.mask[1], rtol=0, atol=1e-3)
    steps = 3 * len(config.rates) * config.steps
    assert alone.extra["passes"][0] == together.extra["passes"][1] >= 4 + 3 * 2 + steps
    assert explainer.settings()["path"] == repr(config)
    reseeded = Amortized(predictor, rate=0.4, learned_steps=2, seed=1).explain(images).mask
    assert (reseeded - together.mask).abs().max() > 1e-3
    short = PathConfig(steps=2, averaged_steps=1, rounds=0, samples=2)
    quick = Amortized(predictor, rate=0.4, learned_steps=2, path_config=short).explain(images)
    assert (quick.extra["passes"] < steps).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions(dtype, predictor, images):
    if dtype == torch.float64:
        predictor, images = copy.deepcopy(predictor).double(), images.double()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        mask = Amortized(predictor, rate=0.4, learned_steps=2).explain(images).mask
    torch.testing.assert_close(mask.mean(1).float(), torch.full((3,), 0.4), rtol=1e-3, atol=0)


def test_the_first_mask_breaks_the_ties_of_refined_ones(predictor, images):
    prediction = predictor(images, streams=NoiseStreams.of(images, stream="look"))
    retained = torch.arange(prediction.logits.shape[1]) % 10 == 0
    refined = torch.where(retained, 0.9, 6e-6).repeat(3, 1)
    mask = MaskPath(predictor, prediction, refined, hard=True).mask(torch.full((3,), 0.4))
    assert mask[:, retained].all()
    logits, ties = prediction.logits[:, ~retained], mask[:, ~retained]
    lowest_kept = logits.masked_fill(ties == 0, torch.inf).amin(1)
    highest_dropped = logits.masked_fill(ties == 1, -torch.inf).amax(1)
    assert (lowest_kept >= highest_dropped - 1e-4).all()
