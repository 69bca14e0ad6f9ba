"""Minimal images against closed forms and brute force."""

import copy

import pytest
import torch

from amortex.core.errors import InputError
from amortex.core.masks import energy, order
from amortex.explainers.minimal_image import MinimalImage, StaticMinimalImage
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.pixel import Pixel
from amortex.transforms.wavelet import Wavelet


def logits_of(rd: RateDistortion, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Logits ``(M,)`` on one image ``(C, H, W)`` with coefficients times a mask ``(k,)``."""
    coefficients = rd.transform(image[None])
    kept = coefficients.map(torch.mul, coefficients.layout.split(mask))
    return rd.classifier(rd.transform.inverse(kept))[0]


@pytest.mark.parametrize("alpha", [0.0, 0.5, 5.0])
@pytest.mark.parametrize("transform", [Pixel(), Wavelet("db2", 2)])
def test_optimum_of_a_linear_classifier_keeps_what_is_worth_its_price(alpha, transform, linear_classifier, images64):
    rd = RateDistortion(linear_classifier, transform)
    target = torch.tensor([0, 1, 2, 0])
    mask = MinimalImage(rd, alpha, steps=200, lr=0.05).explain(images64, target).mask
    coefficients = rd.encode(images64).coefficients
    weight = linear_classifier.model[1].weight.detach().reshape(3, 3, 16, 16)[target] / 0.5
    marginal_gain = (transform.pullback(weight, coefficients).flat * coefficients.flat).sum(1)
    gain = marginal_gain - alpha / mask.shape[1]  # the objective is linear in the mask
    clear = gain.abs() > 1e-5
    assert clear.double().mean() > 0.9
    assert torch.equal(mask[clear], (gain > 0)[clear].to(mask))
    assert 0 < mask.mean() < 1


def test_minimal_image_keeps_the_class_with_a_lower_mean_mask(smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, Wavelet("haar", 2))
    predicted = smooth_classifier(images64).argmax(1)
    rates = []
    for alpha in (1.0, 5.0):
        mask = MinimalImage(rd, alpha, steps=150, lr=0.05).explain(images64).mask
        kept = torch.stack([logits_of(rd, image, m).argmax() for image, m in zip(images64, mask, strict=True)])
        assert torch.equal(kept, predicted)
        rates.append(mask.mean(1))
    assert (rates[0] < 0.9).all()
    assert (rates[1] < rates[0]).all()


@pytest.mark.parametrize("size", [1, 3])
def test_minimal_image_does_not_depend_on_the_batch(size, smooth_classifier, images64):
    transform = Wavelet("db2", 2)
    together = MinimalImage(RateDistortion(smooth_classifier, transform), steps=30).explain(images64).mask
    for index in range(4):
        rd = RateDistortion(smooth_classifier, transform, internal_batch_size=size)
        alone = MinimalImage(rd, steps=30).explain(images64[index : index + 1]).mask[0]
        torch.testing.assert_close(alone, together[index], rtol=0, atol=1e-6)


def shares_by_brute_force(rd, explanation, index: int, shares: int) -> tuple[float, float, torch.Tensor]:
    """Shares inserted and deleted, and the inserted mask, one image and one count at a time."""
    relevance, encoded = explanation.relevance[index : index + 1], explanation.encoded
    ranked = order(relevance, energy(encoded.coefficients)[index : index + 1])[0]
    k, target = len(ranked), int(encoded.target[index])
    counts = [max(1, round(10 ** (-3 + 3 * step / (shares - 1)) * k)) for step in range(shares)]
    insertion = deletion = float("nan")
    mask = torch.ones(k, dtype=torch.float64)
    for count in reversed(counts):  # the last to be noted is the smallest
        kept = torch.zeros(k, dtype=torch.float64)
        kept[ranked[:count]] = 1
        if logits_of(rd, encoded.image[index], kept).argmax() == target:
            insertion, mask = count / k, kept
        predicted = logits_of(rd, encoded.image[index], torch.ones(k, dtype=torch.float64)).argmax() == target
        if predicted and logits_of(rd, encoded.image[index], 1 - kept).argmax() != target:
            deletion = count / k
    return insertion, deletion, mask


@pytest.mark.parametrize("internal_batch_size", [4, 16])
@pytest.mark.parametrize("transform", [Pixel(), Wavelet("haar", 2)], ids=["pixel", "wavelet"])
def test_static_minimal_image_equals_brute_force(transform, internal_batch_size, smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, transform, internal_batch_size=internal_batch_size)
    target = torch.tensor([3, 0, 1, 2])  # two that are predicted, two that are not
    assert (smooth_classifier(images64).argmax(1) == target).tolist() == [True, True, False, False]
    explainer = StaticMinimalImage(rd, WAM(rd, "saliency"), shares=20)
    explanation = explainer.explain(images64, target)
    for index in range(4):
        insertion, deletion, mask = shares_by_brute_force(rd, explanation, index, 20)
        assert explanation.extra["insertion"][index].item() == pytest.approx(insertion, nan_ok=True)
        assert explanation.extra["deletion"][index].item() == pytest.approx(deletion, nan_ok=True)
        assert torch.equal(explanation.mask[index], mask)


def test_static_minimal_image_orders_by_the_given_attribution(smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, Wavelet("haar", 2))
    wam = WAM(rd, "integrated", samples=5, seed=2)
    explanation = StaticMinimalImage(rd, wam, seed=2).explain(images64)
    assert torch.equal(explanation.relevance, wam.explain(images64).relevance)
    assert StaticMinimalImage(rd, wam).settings()["wam"] == "integrated"


def test_class_that_nothing_inserts_gets_nan_and_a_full_mask(linear_classifier, images64):
    classifier = copy.deepcopy(linear_classifier)
    classifier.model[1].bias[2] -= 1000
    rd = RateDistortion(classifier, Pixel())
    explanation = StaticMinimalImage(rd, shares=8).explain(images64, torch.full((4,), 2))
    assert explanation.extra["insertion"].isnan().all()
    assert (explanation.mask == 1).all()
    assert explanation.extra["deletion"].isnan().all()  # nothing to delete: wrong from the start


@pytest.mark.parametrize("arguments", [{"alpha": -1.0}, {"alpha": float("inf")}, {"steps": 0}, {"lr": 0.0}])
def test_minimal_image_settings_out_of_range_are_refused(arguments, tiny_classifier):
    with pytest.raises(InputError):
        MinimalImage(RateDistortion(tiny_classifier, Pixel()), **arguments)


def test_static_minimal_image_needs_two_shares(tiny_classifier):
    with pytest.raises(InputError, match="2 shares"):
        StaticMinimalImage(RateDistortion(tiny_classifier, Pixel()), shares=1)
