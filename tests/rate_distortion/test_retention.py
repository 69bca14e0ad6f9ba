"""Retention: the share of draws that keep the class, its interval, and what makes a certificate doubtful."""

import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from amortex.classifiers.classifier import Classifier
from amortex.core.noise_streams import NoiseStreams
from amortex.obfuscations.constant import Constant
from amortex.rate_distortion.caveats import EMPTY
from amortex.rate_distortion.certificate import certify
from amortex.rate_distortion.intervals import clopper_pearson
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.pixel import Pixel

CONFIG = {"input_size": (1, 4, 4), "mean": (0.0,), "std": (1.0,)}


class FirstPixel(nn.Module):
    """Two classes: whether the first pixel is above a threshold; or logits that other functions make of it."""

    def __init__(self, logits=lambda pixel: 20 * (pixel - 0.5)) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: Tensor) -> Tensor:
        pixel = self.logits(x.flatten(1)[:, :1])
        return torch.cat([-pixel, pixel], 1)


def standardised(count: int, mean: float = 0.5, deviation: float = 0.12) -> Tensor:
    """Images ``(count, 1, 4, 4)`` of exactly this mean and standard deviation."""
    values = torch.rand(count, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = (values - values.mean(1, keepdim=True)) / values.std(1, keepdim=True, correction=0)
    return (mean + deviation * values).float().reshape(count, 1, 4, 4)


def pipeline(logits=None, obfuscation=None, **options) -> RateDistortion:
    net = FirstPixel() if logits is None else FirstPixel(logits)
    return RateDistortion(Classifier(net, CONFIG, "first pixel", **options), Pixel(), obfuscation)


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


class TwoLabels(nn.Module):
    """Two labels at once: whether each of the first two pixels is bright."""

    def forward(self, x: Tensor) -> Tensor:
        return 20 * (x.flatten(1)[:, :2] - 0.6)


@pytest.mark.parametrize(
    ("logits", "target", "said"),
    [
        (lambda pixel: 20 * (pixel - 0.5), None, ""),
        (lambda pixel: 1000 + pixel, None, "saturated"),
        (lambda pixel: 0.5 + 0 * pixel, None, "nearly the same under the empty mask"),
        (lambda pixel: 0.5 + 0.2 * pixel, None, "nearly the same under the empty mask"),
        (lambda pixel: 20 + 0 * pixel, 0, "hardly shows this class"),
    ],
)
def test_certificates_say_what_makes_them_doubtful(logits, target, said):
    rd = pipeline(logits)
    image = standardised(1)
    image[0, 0, 0, 0] = 0.9
    encoded = rd.encode(image, None if target is None else torch.tensor([target]))
    keeps_first = torch.zeros(1, 16)
    keeps_first[0, 0] = 1
    certificate = certify(rd, encoded, keeps_first)
    (found,) = certificate.caveats
    assert bool(found) == bool(said)
    assert said in found
    assert ("caution: " + found in str(certificate)) == bool(said)


def test_the_highest_label_is_doubtful_only_where_the_input_hardly_shows_it():
    rd = RateDistortion(Classifier(TwoLabels(), CONFIG, "labels", activation="sigmoid"), Pixel())
    images = torch.tensor([0.45, 0.2])[:, None, None, None].expand(-1, 1, 4, 4)
    weak, absent = certify(rd, rd.encode(images), torch.ones(2, 16)).caveats
    assert "hardly shows" not in weak
    assert "hardly shows this class: its probability is 0.0003" in absent


def test_an_improbable_class_that_is_lost_is_not_taken_for_one_that_needs_no_input():
    """Its distortion is small whatever happens: at most the square of its probability."""
    rd = RateDistortion(Classifier(ManyClasses(), CONFIG, "many"), Pixel())
    image = torch.zeros(1, 1, 4, 4)
    image[0, 0, 0, 0] = 1.0
    encoded = rd.encode(image)
    certificate = certify(rd, encoded, torch.zeros(1, 16))
    assert certificate.probability.item() < 0.03
    assert certificate.distortion.item() < 1e-3
    assert not certificate.retained.item()
    assert certificate.caveats == (EMPTY,)  # and nothing of an output that does not depend on the input


class ManyClasses(nn.Module):
    """A hundred classes, all of which are improbable; the first needs the first pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.flatten(1)[:, :1], x.new_full((len(x), 1), 0.5), x.new_zeros(len(x), 98)], 1)


def test_full_and_empty_masks_are_said_to_show_nothing():
    rd = pipeline()
    encoded = rd.encode(standardised(3))
    certificate = certify(rd, encoded, torch.stack([torch.ones(16), torch.full((16,), 0.9), torch.zeros(16)]))
    assert "the mask is full" in certificate.caveats[0]
    assert certificate.caveats[1:] == ("", EMPTY)


def test_a_sparse_mask_that_is_no_better_than_the_empty_one_is_said_to_show_nothing():
    config = {**CONFIG, "input_size": (1, 16, 16)}
    rd = RateDistortion(Classifier(FirstPixel(), config, "first pixel"), Pixel())
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    image[0, 0, 0, 0] = 0.9
    keeps_first, keeps_last = torch.eye(256)[[0, -1]]
    certificate = certify(rd, rd.encode(image.expand(2, -1, -1, -1)), torch.stack([keeps_first, keeps_last]))
    first, last = certificate.caveats
    assert first == ""
    assert "the empty mask is about as good (distortion 0." in last


def test_outputs_that_are_no_numbers_have_no_retention():
    rd = pipeline(lambda pixel: torch.where(pixel > 0.5, torch.nan, 20 * (pixel - 0.3)))
    image = standardised(1)
    image[0, 0, 0, 0] = 0.4
    encoded = rd.encode(image)
    certificate = certify(rd, encoded, torch.zeros(1, 16))
    for name in ("retention", "retention_low", "retention_high", "distortion"):
        assert getattr(certificate, name).isnan().all()
    assert "not a number" in certificate.caveats[0]


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
