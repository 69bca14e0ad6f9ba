"""The way beyond refined masks: what it keeps to, that it lowers distortion, and when it is walked."""

import copy

import pytest
import torch
from test_refinement import stirred

from amortex.classifiers import load_classifier
from amortex.draws import Draws
from amortex.explainers import Amortized, way
from amortex.explainers.trace import Trace
from amortex.obfuscations import Zero
from amortex.predictors import MaskPredictor
from amortex.predictors.budget import raised
from amortex.rate_distortion import RateDistortion
from amortex.transforms import Wavelet


@pytest.fixture
def predictor(tiny_classifier):
    torch.manual_seed(0)
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    return stirred(MaskPredictor(rd, width=8, refiner=True)).eval()


def start_of(reference):
    """Masks of a rate of about 10 %, most of it in a few entries."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(len(reference.image), reference.layout.k, generator=generator) ** 9


@pytest.mark.parametrize(("obfuscation", "distortion"), [(None, "label_l2"), (Zero(), "label_l2"), (None, "kl")])
def test_half_way_distortion_is_lower_on_noise_that_it_has_not_seen(obfuscation, distortion, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), obfuscation, distortion)
    reference = rd.reference(images)
    start = start_of(reference)
    half = way.half_way(rd, reference, start, Draws.of(images, stream="way"))
    torch.testing.assert_close(half.mean(1), torch.full((3,), way.HALF), rtol=0, atol=1e-5)
    assert (half >= start).all()
    assert half.max() <= 1
    for rate in (0.3, 0.5, 0.7):
        masks = [raised(start, rate), raised(start, rate, half)]
        outputs = rd.probabilities(reference, masks, Draws.evaluation(images), 64)
        even, ours = (rd.distortions(reference, part).mean(1) for part in outputs)
        assert ours.mean() < 0.8 * even.mean()


def test_the_way_of_an_image_does_not_depend_on_its_batch(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), internal_batch_size=8)  # of three images two fit
    reference = rd.reference(images)
    start = start_of(reference)
    together = way.half_way(rd, reference, start, Draws.of(images, stream="way"))
    alone = way.half_way(rd, reference.of(slice(2, 3)), start[2:], Draws.of(images[2:], stream="way"))
    torch.testing.assert_close(alone[0], together[2], rtol=0, atol=1e-4)


def test_no_more_images_are_in_memory_than_wanted(tiny_classifier, images):
    seen, masks = [], []
    handle = tiny_classifier.model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    for most in (2, 4, 9):
        rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), internal_batch_size=most)
        reference = rd.reference(images)
        seen.clear()
        masks.append(way.half_way(rd, reference, start_of(reference), Draws.of(images, stream="way")))
        assert max(seen) <= most
        assert sum(seen) == len(images) * way.PASSES // 3  # forward and backward are three passes
    handle.remove()
    for mask in masks[1:]:  # on the same noise
        torch.testing.assert_close(mask, masks[0], rtol=0, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions(dtype, predictor, images):
    if dtype == torch.float64:
        predictor, images = copy.deepcopy(predictor).double(), images.double()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        mask = Amortized(predictor, rate=0.4, looks=2).explain(images).mask
    torch.testing.assert_close(mask.mean(1).float(), torch.full((3,), 0.4), rtol=1e-3, atol=0)


def test_distortions_that_round_below_zero_leave_masks_finite(images):
    classifier = load_classifier("networks.TinyNet", "random", img_size=32, mean=[0.5], std=[0.5], sharpness=1e-3)
    rd = RateDistortion(classifier, Wavelet("haar", 2), distortion="kl")  # outputs that hardly differ
    several = torch.cat([images.roll(shift, -1) for shift in range(8)])
    reference = rd.reference(several)
    masks = way.half_way(rd, reference, start_of(reference), Draws.of(several, stream="way"))
    assert masks.isfinite().all()


def test_it_is_walked_once_and_by_the_images_that_need_it(predictor, images):
    prediction = predictor(images)
    k = prediction.logits.shape[1]
    refined = torch.tensor([0.02, 0.2, 0.6])[:, None].repeat(1, k)
    trace = Trace(predictor.rate_distortion, prediction, refined, hard=False)
    rates = {}
    for rate, walked in ((0.05, []), (1.0, []), (0.1, [0]), (0.3, [0, 1]), (0.8, [0, 1]), (0.1, [0, 1])):
        mask = trace.mask(torch.full((3,), rate))
        torch.testing.assert_close(mask.mean(1), torch.full((3,), rate), rtol=1e-3, atol=1e-5)
        assert trace.passes.nonzero()[:, 0].tolist() == walked
        assert trace.passes.max() == (way.PASSES if walked else 0)
        torch.testing.assert_close(rates.setdefault(rate, mask), mask)
    stacked = torch.stack([rates[rate] for rate in sorted(rates)])
    assert (stacked.diff(dim=0) >= -1e-5).all()  # nested


def test_an_image_gets_the_same_mask_whoever_walks_beside_it(predictor, images):
    explainer = Amortized(predictor, rate=0.4, looks=2)
    together, alone = explainer.explain(images), explainer.explain(images[1:2])
    torch.testing.assert_close(alone.mask[0], together.mask[1], rtol=0, atol=1e-3)
    assert together.extra["passes"].tolist() == [4 + 3 * 2 + way.PASSES] * 3
    other = Amortized(predictor, rate=0.4, looks=2, seed=1).explain(images).mask
    assert (other - together.mask).abs().max() > 1e-3


def test_outputs_that_are_not_finite_do_not_spread_on_the_way(images):
    classifier = load_classifier("networks.NanOnWhite", img_size=32, mean=[0.5], std=[0.5])
    rd = RateDistortion(classifier, Wavelet("haar", 2))
    white = torch.cat([images[:1], torch.ones_like(images[:1])])
    start = start_of(rd.reference(white))
    masks = way.half_way(rd, rd.reference(white), start, Draws.of(white, stream="way"))
    assert masks.isfinite().all()
    alone = way.half_way(rd, rd.reference(images[:1]), start[:1], Draws.of(images[:1], stream="way"))
    torch.testing.assert_close(alone[0], masks[0], rtol=0, atol=1e-4)
