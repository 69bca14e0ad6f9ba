"""Retention: the share of draws that keep the class, and its interval."""

import pytest
import scipy.stats
import torch

from amortex.classifiers.classifier import Classifier
from amortex.core.noise_streams import NoiseStreams
from amortex.obfuscations.constant import Constant
from amortex.rate_distortion.certificate import certify
from amortex.rate_distortion.intervals import clopper_pearson
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.pixel import Pixel
from helpers.pixels import CONFIG, TwoLabels, pipeline, standardised


@pytest.mark.parametrize("draws", [1, 7, 64])
def test_interval_is_the_exact_one_of_a_binomial(draws):
    low, high = clopper_pearson(torch.arange(draws + 1), draws)
    for successes in range(draws + 1):
        expected = scipy.stats.binomtest(successes, draws).proportion_ci(0.95, "exact")
        assert low[successes].item() == pytest.approx(expected.low, abs=1e-6)
        assert high[successes].item() == pytest.approx(expected.high, abs=1e-6)


@pytest.mark.parametrize("retention", [0.6, 0.9])
def test_interval_of_a_thousand_certificates_covers_the_retention_as_often_as_it_says(retention):
    """Noise of mean 0.5 and deviation 0.12 is above the threshold with a probability that is known."""
    threshold = 0.5 + 0.12 * scipy.stats.norm.isf(retention)
    rd = pipeline(lambda pixel: 20 * (pixel - threshold))
    images = standardised(1000)
    encoded = rd.encode(images, torch.ones(1000, dtype=torch.long))
    certificate = certify(rd, encoded, torch.zeros(1000, 16), samples=200)
    covered = (certificate.retention_low <= retention) & (retention <= certificate.retention_high)
    assert 0.93 <= covered.float().mean() <= 0.97
    assert certificate.retention.mean().item() == pytest.approx(retention, abs=0.005)


def test_retention_counts_the_draws_and_not_their_mean():
    """Draws that are sure outvote more draws that are not: the mean output keeps a class that most draws lose."""
    rd = pipeline(lambda pixel: torch.where(pixel > 0.55, 9.0, -0.1))
    images = standardised(40)
    encoded = rd.encode(images, torch.ones(40, dtype=torch.long))
    certificate = certify(rd, encoded, torch.zeros(40, 16), samples=64)
    outputs = rd.probabilities(encoded, [torch.zeros(40, 16)], NoiseStreams.evaluation(images), 64)[0]
    assert torch.equal(certificate.retention, (outputs.argmax(-1) == 1).float().mean(1))
    outvoted = certificate.retained & (certificate.retention < 0.5)
    assert outvoted.sum() > 10
    torch.testing.assert_close(outputs.mean(1).argmax(1) == 1, certificate.retained)


def test_obfuscation_that_is_not_random_keeps_the_class_or_not():
    rd = pipeline(obfuscation=Constant())
    encoded = rd.encode(standardised(8))
    certificate = certify(rd, encoded, torch.zeros(8, 16))
    assert set(certificate.retention.tolist()) <= {0.0, 1.0}
    for name in ("retention_low", "retention_high"):
        assert torch.equal(getattr(certificate, name), certificate.retention)
    assert torch.equal(certificate.retention.bool(), certificate.retained)


def test_a_label_beside_the_highest_is_kept_while_its_own_probability_is_above_one_half():
    """As a class, the second label would be kept only where it is more probable than the first."""
    rd = RateDistortion(Classifier(TwoLabels(), CONFIG, "labels", activation="sigmoid"), Pixel(), Constant())
    image = torch.full((1, 1, 4, 4), 0.2)
    image[0, 0, 0, :2] = torch.tensor([0.9, 0.8])
    encoded = rd.encode(image, torch.tensor([1]))
    assert encoded.probabilities.argmax(1).tolist() == [0]
    assert encoded.predicted.tolist() == [True]
    keeps_label = torch.zeros(1, 16)
    keeps_label[0, 1] = 1
    assert certify(rd, encoded, keeps_label).retained.tolist() == [True]
    assert certify(rd, encoded, 1 - keeps_label).retained.tolist() == [False]


def test_the_highest_of_several_labels_is_kept_while_it_stays_the_highest():
    """It needs no probability of one half, and one of more than that is not enough."""
    rd = RateDistortion(Classifier(TwoLabels(), CONFIG, "labels", activation="sigmoid"), Pixel(), Constant())
    images = torch.full((2, 1, 4, 4), 0.3)
    images[0, 0, 0, 0] = 0.55
    images[1, 0, 0, :2] = torch.tensor([0.9, 0.8])
    encoded = rd.encode(images)
    assert encoded.target.tolist() == [0, 0]
    assert encoded.predicted.tolist() == [True, True]
    assert encoded.probabilities[0, 0] < 0.5
    keeps_highest, weakens_it = torch.zeros(2, 16), torch.ones(2, 16)
    keeps_highest[:, 0] = 1
    weakens_it[1, 0] = 0.7
    assert certify(rd, encoded, keeps_highest).retained.tolist() == [True, True]
    certificate = certify(rd, encoded, weakens_it)
    assert certificate.retained.tolist() == [True, False]
    outputs = rd.phi(rd.obfuscate(encoded, weakens_it, None)[:, 0])
    assert outputs[1, 0] > 0.5


def test_a_certificate_is_printed_as_text():
    rd = pipeline(obfuscation=Constant())
    image = standardised(1)
    image[0, 0, 0, 0] = 0.9
    encoded = rd.encode(image.expand(2, -1, -1, -1), torch.tensor([1, 0]))
    most = torch.ones(2, 16)
    most[:, 1] = 0
    predicted, other = str(certify(rd, encoded, most)).splitlines()
    kept = "rate 93.75%, distortion 0.0000 [0.0000, 0.0000], class retained in the mean, and in 100.0% of draws "
    lost = "rate 93.75%, distortion 1.0000 [1.0000, 1.0000], class not reached in the mean, and in 0.0% of draws "
    assert (predicted, other[: len(lost)]) == (kept + "[100.0%, 100.0%]", lost)
    assert certify(pipeline(), pipeline().encode(image), most[:1]).draws.tolist() == [64]
    assert "of 64 draws" in str(certify(pipeline(), pipeline().encode(image), most[:1]))
