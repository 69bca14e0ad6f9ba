"""Wavelet attributions against autograd through explicit coefficients, closed forms and Captum."""

import captum.attr
import pytest
import pywt
import torch
from torch import nn

from amortex.core.errors import InputError
from amortex.core.layout import Coefficients
from amortex.core.masks import energy, order, scale_profile
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier

TRANSFORMS = (Wavelet("db3", 2), Wavelet("bior2.2", 2, "symmetric"), Fourier(), Pixel())
each_transform = pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: type(t).__name__)


def attribution(classifier, transform, images, target=None, **arguments) -> torch.Tensor:
    explainer = WAM(RateDistortion(classifier, transform), **arguments)
    encoded = explainer.rate_distortion.encode(images, target)
    return explainer.attribution(encoded, NoiseStreams.of(images, explainer.seed)).flat


def gradient_through_coefficients(classifier, transform, images, target) -> torch.Tensor:
    """d logit / d z at ``z = T(x)``, by autograd from a leaf of coefficients."""
    coefficients = transform(images)
    leaf = coefficients.flat.detach().requires_grad_()
    x = transform.inverse(Coefficients(coefficients.layout.split(leaf), coefficients.layout))
    score = classifier(x)[torch.arange(len(images)), target].sum()
    return torch.autograd.grad(score, leaf)[0]


@each_transform
def test_saliency_is_the_gradient_with_respect_to_explicit_coefficients(transform, smooth_classifier, images64):
    target = torch.tensor([0, 1, 2, 3])
    expected = gradient_through_coefficients(smooth_classifier, transform, images64, target)
    torch.testing.assert_close(attribution(smooth_classifier, transform, images64, target), expected)
    explanation = WAM(RateDistortion(smooth_classifier, transform)).explain(images64, target)
    torch.testing.assert_close(explanation.relevance, expected.abs().sum(1))
    if not expected.is_complex():
        torch.testing.assert_close(explanation.signed, expected.sum(1))


def test_saliency_of_a_linear_classifier_is_the_transform_of_its_weights(linear_classifier, images64):
    transform = Wavelet("haar", 3, "periodization")  # orthogonal, so the adjoint of the inverse is the transform
    weight = linear_classifier.model[1].weight.detach().reshape(3, 3, 16, 16) / 0.5  # pixels are normalised by 0.5
    target = torch.tensor([2, 0, 1, 2])
    low, *details = pywt.wavedec2(weight[target].numpy(), "haar", mode="periodization", level=3)
    bands = [low, *(torch.stack([torch.from_numpy(d) for d in detail], 2) for detail in reversed(details))]
    expected = transform.layout((16, 16)).join([torch.as_tensor(band) for band in bands])
    for variant in ("saliency", "smoothgrad"):  # the gradient is the same everywhere
        values = attribution(linear_classifier, transform, images64, target, variant=variant, samples=3)
        torch.testing.assert_close(values, expected)
    values = attribution(linear_classifier, transform, images64, target, variant="integrated", samples=1)
    torch.testing.assert_close(values, expected * transform(images64).flat)


@each_transform
def test_smoothgrad_is_the_mean_gradient_over_the_same_noise(transform, smooth_classifier, images64):
    samples, seed, target = 6, 3, torch.tensor([1, 1, 0, 3])
    settings = {"variant": "smoothgrad", "samples": samples, "seed": seed}
    values = attribution(smooth_classifier, transform, images64, target, **settings)
    for index, image in enumerate(images64):
        streams = NoiseStreams.of(image[None], seed, "optimise")
        noise = streams.fill(lambda o, g: o.normal_(generator=g), slice(None), samples, (3, 16, 16), torch.float64)[0]
        sigma = 0.25 * (image.max() - image.min())
        total = 0
        for one in noise:  # not clipped
            noisy = (image + sigma * one)[None]
            total = total + gradient_through_coefficients(smooth_classifier, transform, noisy, target[index])
        torch.testing.assert_close(values[index], total[0] / samples)


@each_transform
def test_integrated_attributions_add_up_to_the_change_of_the_logit(transform, smooth_classifier, images64):
    target = torch.tensor([0, 1, 2, 3])
    ends = [smooth_classifier(x).gather(1, target[:, None])[:, 0] for x in (images64, torch.zeros_like(images64))]
    change = ends[0] - ends[1]
    errors = []
    for samples in (20, 40):
        values = attribution(smooth_classifier, transform, images64, target, variant="integrated", samples=samples)
        assert not values.is_complex()
        errors.append((values.sum((1, 2)) - change).abs().max())
    assert errors[1] < 2e-3 * change.abs().max()
    assert 3 < errors[0] / errors[1] < 5  # the trapezoid rule is of second order


def test_pixel_integrated_gradients_equal_captum_s(smooth_classifier, images64):
    target = torch.tensor([0, 1, 2, 3])
    captums = captum.attr.IntegratedGradients(smooth_classifier)
    expected = captums.attribute(images64, torch.zeros_like(images64), target, n_steps=60, method="gausslegendre")
    values = attribution(smooth_classifier, Pixel(), images64, target, variant="integrated", samples=400)
    tolerance = 1e-4 * expected.abs().max().item()
    torch.testing.assert_close(values.reshape(images64.shape), expected, rtol=0, atol=tolerance)


def test_pixel_saliency_equals_captum_s(smooth_classifier, images64):
    target = torch.tensor([0, 1, 2, 3])
    expected = captum.attr.Saliency(smooth_classifier).attribute(images64.clone().requires_grad_(), target)
    values = attribution(smooth_classifier, Pixel(), images64, target).abs()
    torch.testing.assert_close(values.reshape(images64.shape), expected)


@pytest.mark.parametrize("variant", ["saliency", "smoothgrad", "integrated"])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_attribution_depends_neither_on_the_batch_nor_on_chunking(variant, size, smooth_classifier, images64):
    transform = Wavelet("db2", 2)
    together = WAM(RateDistortion(smooth_classifier, transform), variant, samples=7).explain(images64)
    for index in range(4):
        rd = RateDistortion(smooth_classifier, transform, internal_batch_size=size)
        alone = WAM(rd, variant, samples=7).explain(images64[index : index + 1])
        torch.testing.assert_close(alone.relevance[0], together.relevance[index])
        torch.testing.assert_close(alone.signed[0], together.signed[index])
        assert torch.equal(alone.mask[0], together.mask[index])


@pytest.mark.parametrize("rate", [0.01, 0.2, 1.0])
def test_mask_keeps_the_share_of_most_relevant_entries(rate, smooth_classifier, images64):
    explanation = WAM(RateDistortion(smooth_classifier, Wavelet("db2", 2)), "smoothgrad", rate=rate).explain(images64)
    count = round(rate * explanation.encoded.layout.k)
    for index in range(4):
        first = order(explanation.relevance, energy(explanation.encoded.coefficients))[index, :count]
        assert set(explanation.mask[index].nonzero()[:, 0].tolist()) == set(first.tolist())


def test_mask_takes_the_loudest_of_entries_that_are_equally_relevant(images64):
    indifferent = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    nn.init.zeros_(indifferent[1].weight)
    rd = RateDistortion(build_classifier(indifferent, (3, 16, 16), "indifferent").double(), Pixel())
    mask = WAM(rd, rate=0.1).explain(images64).mask
    loudness = images64.square().sum(1).flatten(1)
    for index in range(4):
        kept = loudness[index][mask[index] == 1]
        assert len(kept) == 26
        assert kept.min() >= loudness[index][mask[index] == 0].max()


def test_scale_profile_is_the_share_of_each_level(smooth_classifier, images64):
    explanation = WAM(RateDistortion(smooth_classifier, Wavelet("db2", 3))).explain(images64)
    layout, relevance = explanation.encoded.layout, explanation.relevance
    profile = scale_profile(relevance, layout.level, 3)
    torch.testing.assert_close(profile.sum(1), torch.ones(4).double())
    for level in range(4):
        expected = relevance[:, layout.level == level].sum(1) / relevance.sum(1)
        torch.testing.assert_close(profile[:, level], expected)


def test_scale_profile_of_no_relevance_is_zero():
    layout = Wavelet("haar", 2).layout((8, 8))
    assert scale_profile(torch.zeros(1, layout.k), layout.level, 2).tolist() == [[0, 0, 0]]


def test_constant_image_has_smoothgrad_without_noise(smooth_classifier):
    grey = torch.full((1, 3, 16, 16), 0.5, dtype=torch.float64)
    plain, smooth = (attribution(smooth_classifier, Pixel(), grey, variant=v) for v in ("saliency", "smoothgrad"))
    torch.testing.assert_close(plain, smooth)


@pytest.mark.parametrize(
    "arguments", [{"variant": "grad"}, {"rate": 0}, {"rate": 1.5}, {"variant": "smoothgrad", "samples": 0}]
)
def test_settings_out_of_range_are_refused(arguments, tiny_classifier):
    with pytest.raises(InputError):
        WAM(RateDistortion(tiny_classifier, Pixel()), **arguments)
