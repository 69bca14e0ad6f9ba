"""What makes a certificate doubtful."""

import pytest
import torch
from torch import Tensor, nn

from amortex.classifiers.classifier import Classifier
from amortex.rate_distortion.caveats import EMPTY
from amortex.rate_distortion.certificate import certify
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.pixel import Pixel
from helpers.pixels import CONFIG, FirstPixel, TwoLabels, pipeline, standardised


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
    assert "the empty mask is better (distortion 0." in last


def test_a_rich_mask_is_compared_with_the_empty_one_where_it_loses_a_predicted_class():
    rd, image = pipeline(lambda pixel: 8 * (pixel - 0.5)), torch.full((1, 1, 4, 4), 0.1)
    image[0, 0, 0, 0] = 0.9
    drops_first, drops_last = 1 - torch.eye(16)[[0]], 1 - torch.eye(16)[[-1]]
    assert certify(rd, rd.encode(image), drops_first).caveats[0].startswith("the empty mask is about as good")
    assert certify(rd, rd.encode(image), drops_last).caveats == ("",)
    other = rd.encode(image, torch.tensor([0]))  # no mask makes it the most probable class
    assert certify(rd, other, drops_last).caveats == ("",)


def test_outputs_that_are_no_numbers_have_no_retention():
    rd = pipeline(lambda pixel: torch.where(pixel > 0.5, torch.nan, 20 * (pixel - 0.3)))
    image = standardised(1)
    image[0, 0, 0, 0] = 0.4
    encoded = rd.encode(image)
    certificate = certify(rd, encoded, torch.zeros(1, 16))
    for name in ("retention", "retention_low", "retention_high", "distortion"):
        assert getattr(certificate, name).isnan().all()
    assert "not a number" in certificate.caveats[0]
