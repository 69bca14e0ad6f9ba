"""Densification paths: their properties, that they lower distortion, and when rounds of further steps follow."""

import itertools
from typing import ClassVar

import pytest
import torch

from amortex.amortized.budget import raise_to
from amortex.amortized.config import PathConfig
from amortex.amortized.path_optimizer import PathOptimizer, optimal_midpoints
from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from amortex.core.nd import local_mean
from amortex.core.noise_streams import NoiseStreams
from amortex.obfuscations.constant import Zero
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet

CONFIG = PathConfig()


def start_of(encoded):
    """Masks of a rate of about 10 %, most of it in a few entries."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(len(encoded.image), encoded.layout.k, generator=generator) ** 9


def step_passes(rounds=0):
    """Classifier passes of the first steps, and of so many rounds of further ones."""
    return 3 * (1 + rounds) * len(CONFIG.rates) * CONFIG.steps


def passes(rounds, samples=CONFIG.samples):
    """With a measurement after each round."""
    return step_passes(rounds) + (1 + rounds) * samples * len(CONFIG.measured_rates)


@pytest.mark.parametrize(("obfuscation", "distortion"), [(None, "label_l2"), (Zero(), "label_l2"), (None, "kl")])
def test_an_optimised_path_has_less_distortion_on_unseen_noise(obfuscation, distortion, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), obfuscation, distortion)
    encoded = rd.encode(images)
    start = start_of(encoded)
    midpoint = optimal_midpoints(rd, encoded, start, CONFIG)
    torch.testing.assert_close(midpoint.mean(1), torch.full((3,), CONFIG.midpoint_rate), rtol=0, atol=1e-5)
    assert (midpoint >= start).all()
    assert midpoint.max() <= 1
    for rate in (0.3, 0.5, 0.7):
        masks = [raise_to(start, rate), raise_to(start, rate, midpoint)]
        outputs = rd.probabilities(encoded, masks, NoiseStreams.evaluation(images), 64)
        straight, optimised = (rd.distortions(encoded, part).mean(1) for part in outputs)
        assert optimised.mean() < 0.8 * straight.mean()


def test_the_path_of_an_image_does_not_depend_on_its_batch(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), internal_batch_size=8)  # of three images two fit
    encoded = rd.encode(images)
    start = start_of(encoded)
    with tiny_classifier.count_passes(3) as counter:
        together = optimal_midpoints(rd, encoded, start, CONFIG)
    with tiny_classifier.count_passes(1) as alone_counter:
        alone = optimal_midpoints(rd, encoded.of(slice(2, 3)), start[2:], CONFIG)
    torch.testing.assert_close(alone[0], together[2], rtol=0, atol=1e-4)
    assert alone_counter.per_image[0] == counter.per_image[2]


def test_a_measurement_finds_the_largest_rise_and_its_standard_errors(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    encoded = rd.encode(images)
    start = start_of(encoded)
    midpoint = raise_to(start, CONFIG.midpoint_rate)
    distortion, rise = PathOptimizer(rd, encoded, start, seed=3).measure(midpoint)
    measured = [
        rd(encoded, raise_to(start, rate, midpoint), NoiseStreams.of(images, 3, "way look"), CONFIG.samples).distortion
        for rate in CONFIG.measured_rates
    ]
    for image in range(3):
        draws = [values[image].numpy() for values in measured]
        highs = [0.0]
        for low, high in itertools.combinations(range(len(draws)), 2):
            change = draws[high] - draws[low]
            highs.append(change.mean() + CONFIG.standard_errors * change.std() / len(change) ** 0.5)
        assert distortion[image].tolist() == pytest.approx([values.mean() for values in draws], abs=1e-5)
        assert rise[image].item() == pytest.approx(max(highs), abs=1e-5)


def test_rates_up_to_which_distortion_rises_weigh_more(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    optimizer = PathOptimizer(rd, rd.encode(images), torch.zeros(0))
    weights = optimizer.focus(torch.tensor([[0.4, 0.2, 0.1, 0.3, 0.0], [0.4, 0.3, 0.2, 0.1, 0.0]]))
    assert weights[0].tolist() == pytest.approx([1, 1, 1 + CONFIG.focus * (0.2 + CONFIG.rise) / 0.2, 1])
    assert weights[1].tolist() == [1] * 4


def test_a_configuration_measures_at_one_rate_more(tiny_classifier, images):
    with pytest.raises(InputError, match="one rate more"):
        PathConfig(rates=(0.2, 0.5, 0.8))


class Scripted(PathOptimizer):
    """Steps and measurements are made up: each mask is the number of its round, which says how much it rises."""

    rises: ClassVar = {
        0: [0.005],
        1: [0.05, 0.08, 0.02, 0.009],  # the first round is worse, two more are needed
        2: [0.05] + [0.06] * 9,  # no round helps
        3: [9.0],  # its distortion is small: never measured
    }
    log: ClassVar[list[tuple[int, float, float, list[float], int]]] = []
    measured: ClassVar[list[int]] = []

    @property
    def images(self):
        return self.start[:, 0].mul(10).round().int().tolist()

    def measure(self, midpoint):
        self.measured.extend(self.images)
        rise = [self.rises[image][int(number)] for image, number in zip(self.images, midpoint[:, 0], strict=True)]
        return torch.tensor([[0.1, 0.1, 0.1, 0.1, 0.1 + each] for each in rise]), torch.tensor(rise)

    def steps(self, midpoint, weights, lr, streams):
        number = max([-1, *(entry[0] for entry in self.log)]) + 1
        for row in zip(self.images, midpoint[:, 0].tolist(), weights.tolist(), streams.seeds, strict=True):
            self.log.append((number, lr, *row))
        return torch.full_like(midpoint, number), torch.tensor([1e-3 if image == 3 else 1.0 for image in self.images])


@pytest.mark.parametrize("noisy", [True, False])
def test_rounds_follow_where_distortion_rises_and_only_better_ones_are_kept(noisy, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), None if noisy else Zero())
    encoded = rd.encode(torch.cat([images, images[:1].flip(2)]))
    start = torch.arange(4)[:, None].div(10).repeat(1, encoded.layout.k)
    Scripted.log.clear()
    Scripted.measured.clear()
    optimizer = Scripted(rd, encoded, start)
    midpoint = optimizer.optimize()
    # without noise the steps of image 1 would be worse forever
    assert midpoint[:, 0].tolist() == [0, 3 if noisy else 0, 0, 0]
    rounds = [0, 3, CONFIG.rounds, 0] if noisy else [0, 1, 1, 0]
    assert [len([entry for entry in Scripted.log if entry[2] == image]) - 1 for image in range(4)] == rounds
    assert [Scripted.measured.count(image) for image in range(4)] == [1, 1 + rounds[1], 1 + rounds[2], 0]
    assert {entry[1] for entry in Scripted.log if entry[0]} == {CONFIG.restart_lr}
    second = [entry for entry in Scripted.log if entry[2] == 1]
    assert [entry[3] for entry in second[1:]] == [0, 0, 2][: len(second) - 1]  # each from the best so far
    for entry, rise in zip(second[1:], [0.05, 0.05, 0.02], strict=False):
        expected = optimizer.focus(torch.tensor([[0.1, 0.1, 0.1, 0.1, 0.1 + rise]]))
        assert entry[4] == pytest.approx(expected[0].tolist())
    seeds = [entry[5] for entry in second]
    assert len(set(seeds)) == len(seeds)  # each on its own noise


@pytest.mark.parametrize("column", range(len(CONFIG.rates)))
def test_weights_are_those_of_rates(column, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), Zero())
    encoded = rd.encode(images)
    start = start_of(encoded)
    midpoint = raise_to(start, CONFIG.midpoint_rate).requires_grad_()
    weights = torch.eye(len(CONFIG.rates))[column].repeat(3, 1)
    _, smoothed = PathOptimizer(rd, encoded, start).gradient(midpoint.detach(), weights, NoiseStreams.of(images))
    mask = raise_to(start, CONFIG.rates[column], midpoint)
    (gradient,) = torch.autograd.grad(rd.distortions(encoded, rd.outputs(encoded, mask, None)).sum(), midpoint)
    bands = encoded.layout.split(gradient / len(CONFIG.rates))
    expected = encoded.layout.join([local_mean(band, CONFIG.smoothing, 2) for band in bands])
    torch.testing.assert_close(smoothed, expected, rtol=1e-3, atol=1e-9)


def test_no_more_images_are_in_memory_than_allowed(tiny_classifier, images):
    sizes, masks = [], []
    handle = tiny_classifier.model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    for most in (2, 4, 9):
        rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), internal_batch_size=most)
        encoded = rd.encode(images)
        sizes.clear()
        with tiny_classifier.count_passes(3) as counter:
            masks.append(optimal_midpoints(rd, encoded, start_of(encoded), CONFIG))
        assert max(sizes) <= most
        known = {step_passes(): 0} | {passes(rounds): rounds for rounds in range(CONFIG.rounds + 1)}
        assert all(count in known for count in counter.per_image.tolist())
    handle.remove()
    for mask in masks[1:]:  # on the same noise
        torch.testing.assert_close(mask, masks[0], rtol=0, atol=1e-3)


def test_distortions_that_round_below_zero_leave_masks_finite(images):
    classifier = load_classifier(
        "helpers.networks.TinyNet", "random", input_size=32, mean=[0.5], std=[0.5], sharpness=1e-3
    )
    rd = RateDistortion(classifier, Wavelet("haar", 2), distortion="kl")  # outputs that hardly differ
    encoded = rd.encode(torch.cat([images.roll(shift, -1) for shift in range(8)]))
    assert optimal_midpoints(rd, encoded, start_of(encoded), CONFIG).isfinite().all()


def test_outputs_that_are_not_finite_do_not_spread_to_other_images(images):
    classifier = load_classifier("helpers.networks.NanOnWhite", input_size=32, mean=[0.5], std=[0.5])
    rd = RateDistortion(classifier, Wavelet("haar", 2))
    white = torch.cat([images[:1], torch.ones_like(images[:1])])
    start = start_of(rd.encode(white))
    masks = optimal_midpoints(rd, rd.encode(white), start, CONFIG)
    assert masks.isfinite().all()
    alone = optimal_midpoints(rd, rd.encode(images[:1]), start[:1], CONFIG)
    torch.testing.assert_close(alone[0], masks[0], rtol=0, atol=1e-4)
