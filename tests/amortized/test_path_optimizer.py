"""The way beyond refined masks: what it keeps to, that it lowers distortion, and when it is walked."""

import copy
import itertools
from typing import ClassVar

import pytest
import torch

from amortex.amortized import path_optimizer as way
from amortex.amortized.budget import raised
from amortex.amortized.config import PredictorConfig
from amortex.amortized.explainer import Amortized
from amortex.amortized.mask_path import MaskPath
from amortex.amortized.predictor import MaskPredictor
from amortex.classifiers.loading import load_classifier
from amortex.core.noise_streams import NoiseStreams
from amortex.obfuscations.constant import Zero
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.predictors import stirred


@pytest.fixture
def predictor(tiny_classifier):
    torch.manual_seed(0)
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    return stirred(MaskPredictor(rd, PredictorConfig(width=8), refiner=True)).eval()


def start_of(encoded):
    """Masks of a rate of about 10 %, most of it in a few entries."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(len(encoded.image), encoded.layout.k, generator=generator) ** 9


def walked(rounds, samples=way.SAMPLES):
    """Classifier passes of the first steps, a look, and so many rounds of both."""
    return (1 + rounds) * (way.PASSES + samples * len(way.MEASURED_RATES))


def forwards(passes):
    """How often an image goes through the classifier: forward and backward are three passes."""
    times = {way.PASSES: 1} | {walked(rounds): rounds + 1 for rounds in range(way.ROUNDS + 1)}
    return passes - times[passes] * way.PASSES * 2 // 3


@pytest.mark.parametrize(("obfuscation", "distortion"), [(None, "label_l2"), (Zero(), "label_l2"), (None, "kl")])
def test_half_way_distortion_is_lower_on_noise_that_it_has_not_seen(obfuscation, distortion, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), obfuscation, distortion)
    encoded = rd.encode(images)
    start = start_of(encoded)
    half, _ = way.midpoints(rd, encoded, start)
    torch.testing.assert_close(half.mean(1), torch.full((3,), way.HALF), rtol=0, atol=1e-5)
    assert (half >= start).all()
    assert half.max() <= 1
    for rate in (0.3, 0.5, 0.7):
        masks = [raised(start, rate), raised(start, rate, half)]
        outputs = rd.probabilities(encoded, masks, NoiseStreams.evaluation(images), 64)
        even, ours = (rd.distortions(encoded, part).mean(1) for part in outputs)
        assert ours.mean() < 0.8 * even.mean()


def test_the_way_of_an_image_does_not_depend_on_its_batch(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), internal_batch_size=8)  # of three images two fit
    encoded = rd.encode(images)
    start = start_of(encoded)
    together, passes = way.midpoints(rd, encoded, start)
    alone, own = way.midpoints(rd, encoded.of(slice(2, 3)), start[2:])
    torch.testing.assert_close(alone[0], together[2], rtol=0, atol=1e-4)
    assert own[0] == passes[2]


def test_a_look_finds_the_largest_rise_and_its_standard_errors(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    encoded = rd.encode(images)
    start = start_of(encoded)
    half = raised(start, way.HALF)
    distortion, rise = way.PathOptimizer(rd, encoded, start, 3).measure(half)
    found = [
        rd(encoded, raised(start, rate, half), NoiseStreams.of(images, 3, "way look"), way.SAMPLES).distortion
        for rate in way.MEASURED_RATES
    ]
    for image in range(3):
        drawn = [rate[image].numpy() for rate in found]
        highs = [0.0]
        for low, high in itertools.combinations(range(len(drawn)), 2):
            change = drawn[high] - drawn[low]
            highs.append(change.mean() + way.ERRORS * change.std() / len(change) ** 0.5)
        assert distortion[image].tolist() == pytest.approx([values.mean() for values in drawn], abs=1e-5)
        assert rise[image].item() == pytest.approx(max(highs), abs=1e-5)


def test_rates_up_to_which_distortion_rises_weigh_more():
    weights = way.focus(torch.tensor([[0.4, 0.2, 0.1, 0.3, 0.0], [0.4, 0.3, 0.2, 0.1, 0.0]]))
    assert weights[0].tolist() == pytest.approx([1, 1, 1 + way.FOCUS * (0.2 + way.RISE) / 0.2, 1])
    assert weights[1].tolist() == [1] * 4


class Scripted(way.PathOptimizer):
    """Ways whose steps and looks are made up: each mask is the number of its round, which says how much it rises."""

    rises: ClassVar = {
        0: [0.005],
        1: [0.05, 0.08, 0.02, 0.009],  # the first round is worse, two more are needed
        2: [0.05] + [0.06] * 9,  # no round helps
        3: [9.0],  # its distortion is small: never looked at
    }
    log: ClassVar[list[tuple[int, float, list[float], float]]] = []

    @property
    def images(self):
        return self.start[:, 0].mul(10).round().int().tolist()

    def measure(self, half):
        rise = [self.rises[image][int(number)] for image, number in zip(self.images, half[:, 0], strict=True)]
        return torch.tensor([[0.1, 0.1, 0.1, 0.1, 0.1 + each] for each in rise]), torch.tensor(rise)

    def steps(self, half, weights, first_lr, streams):
        number = max([-1, *(entry[0] for entry in self.log)]) + 1
        for row in zip(self.images, half[:, 0].tolist(), weights.tolist(), streams.seeds, strict=True):
            self.log.append((number, first_lr, *row))
        return torch.full_like(half, number), torch.tensor([1e-3 if image == 3 else 1.0 for image in self.images])


@pytest.mark.parametrize("noisy", [True, False])
def test_rounds_follow_where_distortion_rises_and_only_what_is_better_is_kept(noisy, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), None if noisy else Zero())
    encoded = rd.encode(torch.cat([images, images[:1].flip(2)]))
    start = torch.arange(4)[:, None].div(10).repeat(1, encoded.layout.k)
    Scripted.log.clear()
    half, passes = Scripted(rd, encoded, start, 0).optimize()
    samples = way.SAMPLES if noisy else 1
    # without noise the steps of image 1 would be worse forever
    assert half[:, 0].tolist() == [0, 3 if noisy else 0, 0, 0]
    rounds = [0, 3, way.ROUNDS] if noisy else [0, 1, 1]
    assert passes.tolist() == [*(walked(each, samples) for each in rounds), way.PASSES]
    assert {entry[1] for entry in Scripted.log if entry[0]} == {way.AGAIN}
    second = [entry for entry in Scripted.log if entry[2] == 1]
    assert [entry[3] for entry in second[1:]] == [0, 0, 2][: len(second) - 1]  # each from the best so far
    for entry, rise in zip(second[1:], [0.05, 0.05, 0.02], strict=False):
        assert entry[4] == pytest.approx(way.focus(torch.tensor([[0.1, 0.1, 0.1, 0.1, 0.1 + rise]]))[0].tolist())
    seeds = [entry[5] for entry in second]
    assert len(set(seeds)) == len(seeds)  # each on its own noise


@pytest.mark.parametrize("column", range(len(way.RATES)))
def test_weights_are_those_of_rates(column, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), Zero())
    encoded = rd.encode(images)
    start = start_of(encoded)
    half = raised(start, way.HALF).requires_grad_()
    weights = torch.eye(len(way.RATES))[column].repeat(3, 1)
    _, slope = way.PathOptimizer(rd, encoded, start, 0).slope(half.detach(), weights, NoiseStreams.of(images))
    mask = raised(start, way.RATES[column], half)
    (gradient,) = torch.autograd.grad(rd.distortions(encoded, rd.outputs(encoded, mask, None)).sum(), half)
    smooth = [
        torch.nn.functional.avg_pool2d(band, way.SMOOTH, 1, way.SMOOTH // 2, count_include_pad=False)
        for band in encoded.layout.split(gradient / len(way.RATES))
    ]
    torch.testing.assert_close(slope, encoded.layout.join(smooth), rtol=1e-3, atol=1e-9)


def test_no_more_images_are_in_memory_than_wanted(tiny_classifier, images):
    seen, masks = [], []
    handle = tiny_classifier.model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    for most in (2, 4, 9):
        rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), internal_batch_size=most)
        encoded = rd.encode(images)
        seen.clear()
        mask, passes = way.midpoints(rd, encoded, start_of(encoded))
        masks.append(mask)
        assert max(seen) <= most
        assert sum(seen) == sum(forwards(count) for count in passes.tolist())
    handle.remove()
    for mask in masks[1:]:  # on the same noise
        torch.testing.assert_close(mask, masks[0], rtol=0, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions(dtype, predictor, images):
    if dtype == torch.float64:
        predictor, images = copy.deepcopy(predictor).double(), images.double()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        mask = Amortized(predictor, rate=0.4, learned_steps=2).explain(images).mask
    torch.testing.assert_close(mask.mean(1).float(), torch.full((3,), 0.4), rtol=1e-3, atol=0)


def test_distortions_that_round_below_zero_leave_masks_finite(images):
    classifier = load_classifier(
        "helpers.networks.TinyNet", "random", input_size=32, mean=[0.5], std=[0.5], sharpness=1e-3
    )
    rd = RateDistortion(classifier, Wavelet("haar", 2), distortion="kl")  # outputs that hardly differ
    several = torch.cat([images.roll(shift, -1) for shift in range(8)])
    encoded = rd.encode(several)
    masks, _ = way.midpoints(rd, encoded, start_of(encoded))
    assert masks.isfinite().all()


def test_it_is_walked_once_and_by_the_images_that_need_it(predictor, images):
    prediction = predictor(images)
    k = prediction.logits.shape[1]
    refined = torch.tensor([0.02, 0.2, 0.6])[:, None].repeat(1, k)
    trace = MaskPath(predictor.rate_distortion, prediction, refined, hard=False)
    rates, passes = {}, []
    for rate, walkers in ((0.05, []), (1.0, []), (0.1, [0]), (0.3, [0, 1]), (0.8, [0, 1]), (0.1, [0, 1])):
        mask = trace.mask(torch.full((3,), rate))
        torch.testing.assert_close(mask.mean(1), torch.full((3,), rate), rtol=1e-3, atol=1e-5)
        assert trace.passes.nonzero()[:, 0].tolist() == walkers
        torch.testing.assert_close(rates.setdefault(rate, mask), mask)
        passes.append(trace.passes.tolist())
        if rate == 0.8:
            own = way.midpoints(trace.rd, trace.encoded, way.begin(refined))[1]
            assert passes[-1] == [*own[:2].tolist(), 0]
    assert passes[-1] == passes[-3] != passes[2]  # once
    stacked = torch.stack([rates[rate] for rate in sorted(rates)])
    assert (stacked.diff(dim=0) >= -1e-5).all()  # nested


def test_an_image_gets_the_same_mask_whoever_walks_beside_it(predictor, images):
    explainer = Amortized(predictor, rate=0.4, learned_steps=2)
    together, alone = explainer.explain(images), explainer.explain(images[1:2])
    torch.testing.assert_close(alone.mask[0], together.mask[1], rtol=0, atol=1e-3)
    assert alone.extra["passes"][0] == together.extra["passes"][1] >= 4 + 3 * 2 + way.PASSES
    other = Amortized(predictor, rate=0.4, learned_steps=2, seed=1).explain(images).mask
    assert (other - together.mask).abs().max() > 1e-3


def test_outputs_that_are_not_finite_do_not_spread_on_the_way(images):
    classifier = load_classifier("helpers.networks.NanOnWhite", input_size=32, mean=[0.5], std=[0.5])
    rd = RateDistortion(classifier, Wavelet("haar", 2))
    white = torch.cat([images[:1], torch.ones_like(images[:1])])
    start = start_of(rd.encode(white))
    masks, _ = way.midpoints(rd, rd.encode(white), start)
    assert masks.isfinite().all()
    alone, _ = way.midpoints(rd, rd.encode(images[:1]), start[:1])
    torch.testing.assert_close(alone[0], masks[0], rtol=0, atol=1e-4)
