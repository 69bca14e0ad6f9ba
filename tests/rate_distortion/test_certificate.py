"""Certificates: fresh draws, a confidence interval, the class retained."""

import pytest
import scipy.stats
import torch

from amortex.classifiers.classifier import Classifier
from amortex.core.noise_streams import NoiseStreams
from amortex.obfuscations.constant import Constant
from amortex.obfuscations.gaussian import Gaussian
from amortex.obfuscations.uniform import Uniform
from amortex.rate_distortion.certificate import EVALUATION_SEED, certify
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.pixel import Pixel
from amortex.transforms.wavelet import Wavelet
from helpers.networks import AnyAxes


def uniform_masks(rd: RateDistortion, images: torch.Tensor, level: float, target=None):
    """The encoded images, and masks of one value."""
    encoded = rd.encode(images, target)
    return encoded, images.new_full((len(images), encoded.layout.k), level)


@pytest.mark.parametrize("obfuscation", [Gaussian(), Uniform()])
@pytest.mark.parametrize("samples", [2, 64])
def test_interval_is_student_s_over_draws_of_the_evaluation_stream(obfuscation, samples, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), obfuscation)
    encoded, mask = uniform_masks(rd, images, 0.5)
    certificate = certify(rd, encoded, mask, samples)
    streams = NoiseStreams.of(images, EVALUATION_SEED, "evaluate")
    outcome = rd(encoded, mask, streams, samples)
    assert EVALUATION_SEED == 12345
    for index, values in enumerate(outcome.distortion.double().numpy()):
        low, high = scipy.stats.t.interval(0.95, samples - 1, loc=values.mean(), scale=scipy.stats.sem(values))
        assert certificate.distortion[index].item() == pytest.approx(values.mean(), rel=1e-5)
        assert certificate.ci_low[index].item() == pytest.approx(max(low, 0), rel=1e-4, abs=1e-7)
        assert certificate.ci_high[index].item() == pytest.approx(high, rel=1e-4)
    probabilities = outcome.probabilities
    assert torch.equal(certificate.retained, probabilities.argmax(1) == encoded.target)
    torch.testing.assert_close(certificate.rate, torch.full((3,), 0.5))
    torch.testing.assert_close(certificate.probability, tiny_classifier(images).softmax(1).max(1).values)


def test_interval_covers_the_mean_of_many_draws_about_as_often_as_it_says(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Pixel())
    encoded, mask = uniform_masks(rd, images[:1], 0.3)
    truth = certify(rd, encoded, mask, 4000, seed=1).distortion
    seeds = range(2, 152)
    certificates = [certify(rd, encoded, mask, 16, seed=seed) for seed in seeds]
    covered = sum(bool(c.ci_low <= truth <= c.ci_high) for c in certificates) / len(seeds)
    assert 0.88 <= covered <= 1


def test_certificate_does_not_see_the_draws_of_the_optimiser(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Pixel())
    encoded, mask = uniform_masks(rd, images, 0.3)
    optimiser = rd(encoded, mask, NoiseStreams.of(images, EVALUATION_SEED, "optimise"), 4)
    assert not torch.equal(certify(rd, encoded, mask, 4).distortion, optimiser.distortion.mean(1))


def test_obfuscation_that_is_not_random_has_an_interval_of_no_width(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Pixel(), Constant())
    certificate = certify(rd, *uniform_masks(rd, images, 0.3), samples=64)
    assert (certificate.distortion > 0).all()
    assert torch.equal(certificate.ci_low, certificate.distortion)
    assert torch.equal(certificate.ci_high, certificate.distortion)


def test_single_random_draw_has_no_interval(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Pixel())
    certificate = certify(rd, *uniform_masks(rd, images, 0.3), samples=1)
    assert certificate.distortion.isfinite().all()
    assert certificate.ci_low.isnan().all()
    assert certificate.ci_high.isnan().all()


def test_full_mask_retains_the_predicted_class_and_no_other(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Pixel())
    predicted = tiny_classifier(images).argmax(1)
    assert certify(rd, *uniform_masks(rd, images, 1.0), 4).retained.all()
    assert not certify(rd, *uniform_masks(rd, images, 1.0, (predicted + 1) % 5), 4).retained.any()


def test_certificate_does_not_depend_on_the_batch(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Pixel())
    together = certify(rd, *uniform_masks(rd, images, 0.3), 8)
    for index in range(3):
        alone = certify(rd, *uniform_masks(rd, images[index : index + 1], 0.3), 8)
        for name, value in alone.row(0).items():
            batched = together.row(index)[name]
            assert value == (batched if isinstance(value, str) else pytest.approx(batched, rel=1e-5, abs=1e-6))


@pytest.mark.parametrize("size", [(40,), (6, 5, 7)])
def test_sounds_and_volumes_are_certified_as_images_are(size):
    config = {"input_size": (2, *size), "mean": (0.5,), "std": (0.5,)}
    rd = RateDistortion(Classifier(AnyAxes([2, *size]), config, "linear"), Pixel())
    signals = torch.rand(3, 2, *size, generator=torch.Generator().manual_seed(0))
    certificate = certify(rd, *uniform_masks(rd, signals, 0.3), 8)
    assert all(len(values) == 3 for values in certificate)
    assert (certificate.ci_low <= certificate.distortion).all()
    assert certify(rd, *uniform_masks(rd, signals, 1.0), 8).retained.all()
