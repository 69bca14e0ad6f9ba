"""What replaces masked coefficients: statistics against plain numpy, noise by its moments."""

import warnings

import numpy as np
import pytest
import pywt
import scipy.ndimage
import torch

from amortex.core.layout import Coefficients
from amortex.core.noise_streams import NoiseStreams
from amortex.obfuscations.blur import Blur
from amortex.obfuscations.constant import Constant, Zero
from amortex.obfuscations.fading import Fading
from amortex.obfuscations.gaussian import Gaussian
from amortex.obfuscations.uniform import Uniform
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.wavelet import Wavelet


def gaussian_by_numpy(image: np.ndarray) -> list[tuple[float, float]]:
    """Mean and population standard deviation of low, level 1 .. 5 of one image ``(C, H, W)``, channels pooled."""
    with warnings.catch_warnings():  # about levels that all feel the border
        warnings.simplefilter("ignore")
        low, *details = pywt.wavedec2(image, "db3", mode="zero", level=5, axes=(-2, -1))
    groups = [low, *(np.concatenate([d.ravel() for d in detail]) for detail in reversed(details))]
    return [(float(values.mean()), float(values.std(ddof=0))) for values in groups]


@pytest.mark.parametrize("obfuscation", [Gaussian(), Uniform()])
def test_adaptive_statistics_are_those_of_six_groups_of_each_image(obfuscation, images64):
    transform = Wavelet()
    coefficients = transform(images64)
    location, scale = obfuscation.replacement(images64, coefficients, transform)
    layout = coefficients.layout
    assert len(layout.groups) == 6
    for index, image in enumerate(images64.numpy()):
        for group, (mean, deviation) in enumerate(gaussian_by_numpy(image)):
            members = layout.group == group
            np.testing.assert_allclose(location[index, :, members], mean, rtol=0, atol=1e-10)
            np.testing.assert_allclose(scale[index, :, members], deviation, rtol=0, atol=1e-10)


def test_pixels_are_one_group(images64):
    location, scale = Gaussian().replacement(images64, Pixel()(images64), Pixel())
    flat = images64.flatten(1)
    torch.testing.assert_close(location, flat.mean(1)[:, None, None].expand_as(location))
    torch.testing.assert_close(scale, flat.std(1, correction=0)[:, None, None].expand_as(scale))


def test_complex_statistics_are_the_complex_mean_and_the_root_mean_square_distance(images64):
    transform = Fourier(2)
    coefficients = transform(images64)
    location, scale = Gaussian().replacement(images64, coefficients, transform)
    for group in range(3):
        members = coefficients.layout.group == group
        for index, flat in enumerate(coefficients.flat[:, :, members].numpy()):
            np.testing.assert_allclose(location[index, :, members], flat.mean())
            np.testing.assert_allclose(scale[index, :, members], np.sqrt((np.abs(flat - flat.mean()) ** 2).mean()))


@pytest.mark.parametrize("transform", [Pixel(), Fourier(), Wavelet("db3", 2)])
def test_autocast_does_not_reduce_the_precision_of_statistics(transform, images):
    coefficients = transform(images)
    expected = Gaussian().replacement(images, coefficients, transform)
    with torch.autocast("cpu", torch.bfloat16):
        values = Gaussian().replacement(images, coefficients, transform)
    assert torch.equal(values.location, expected.location)
    assert torch.equal(values.scale, expected.scale)


def noise_of(obfuscation, transform, classifier, images, samples=200):
    rd = RateDistortion(classifier, transform, obfuscation)
    encoded = rd.encode(images)
    bands = rd.noise(encoded, NoiseStreams.of(images), slice(None), samples)
    return torch.cat([band.flatten() for band in bands])


@pytest.mark.parametrize("transform", [Pixel(), Wavelet("db3", 2)])
def test_gaussian_unit_noise_has_standard_normal_moments(transform, smooth_classifier, images64):
    unit = noise_of(Gaussian(), transform, smooth_classifier, images64)
    moments = [unit.mean(), unit.square().mean(), unit.pow(3).mean(), unit.pow(4).mean()]
    assert torch.stack(moments).tolist() == pytest.approx([0, 1, 0, 3], abs=0.04)


def test_complex_gaussian_noise_is_circular_with_variance_one(smooth_classifier, images64):
    unit = noise_of(Gaussian(), Fourier(), smooth_classifier, images64)
    assert unit.is_complex()
    assert unit.abs().square().mean().item() == pytest.approx(1, abs=0.02)
    assert unit.real.square().mean().item() == pytest.approx(0.5, abs=0.01)
    assert (unit * unit).mean().abs().item() == pytest.approx(0, abs=0.02)  # no pseudo-variance
    assert unit.abs().pow(4).mean().item() == pytest.approx(2, abs=0.05)  # of a circular Gaussian


@pytest.mark.parametrize("transform", [Pixel(), Wavelet("db3", 2)])
def test_fading_noise_is_gaussian_at_a_level_per_draw_that_all_bands_share(transform, smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, transform, Fading())
    bands = rd.noise(rd.encode(images64), NoiseStreams.of(images64), slice(None), 200)
    levels = torch.stack([band.flatten(2).square().mean(2).sqrt() for band in bands])  # (bands, B, L)
    heard = levels[0] > 1e-5
    assert heard.double().mean().item() == pytest.approx(0.75, abs=0.05)
    levels = levels[:, heard]
    torch.testing.assert_close(
        (levels / levels[0]).mean(1), torch.ones(len(levels), dtype=torch.float64), rtol=0, atol=0.05
    )
    decibels = 20 * levels.mean(0).log10()
    assert -61 < decibels.min() < decibels.max() < 1
    assert [decibels.mean().item(), decibels.std().item()] == pytest.approx([-30, 60 / 12**0.5], abs=1.5)
    unit = bands[0].flatten(2)[heard] / levels[0][:, None]
    assert unit.pow(4).mean().item() == pytest.approx(3, abs=0.1)
    quantiles = Fading().to_uniform(bands[0])  # of silent draws, too
    assert quantiles.abs().max() <= 1
    assert quantiles.square().mean().item() == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize("obfuscation", [Gaussian(), Uniform(), Fading()])
def test_unit_noise_has_the_variance_that_is_said_of_it(obfuscation, smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, Wavelet("db3", 2), obfuscation)
    encoded, streams = rd.encode(images64), NoiseStreams.of(images64)
    draws = [[band.clone() for band in rd.noise(encoded, streams, slice(None), 1)] for _ in range(256)]
    measured = torch.stack([torch.cat([band.flatten(1) for band in bands], 1).var(1) for bands in draws])
    assert measured.mean().item() == pytest.approx(obfuscation.variance, rel=0.03)
    said = torch.stack([torch.as_tensor(obfuscation.variances(bands)).expand(len(images64)) for bands in draws])
    torch.testing.assert_close(said.double(), measured, rtol=0.2, atol=1e-9)


def test_fading_noise_is_as_loud_as_the_coefficients_and_around_silence(images64):
    transform = Wavelet("db3", 2)
    coefficients = transform(images64)
    location, scale = Fading().replacement(images64, coefficients, transform)
    assert location.abs().max() == 0
    for group in range(3):
        members = coefficients.layout.group == group
        loudness = coefficients.flat[:, :, members].square().mean((1, 2)).sqrt()
        torch.testing.assert_close(scale[:, 0, members], loudness[:, None].expand(-1, int(members.sum())))


def test_uniform_unit_noise_fills_its_bounds(smooth_classifier, images64):
    unit = noise_of(Uniform(), Pixel(), smooth_classifier, images64)
    assert -1 <= unit.min() < -0.999
    assert 0.999 < unit.max() <= 1
    assert unit.mean().item() == pytest.approx(0, abs=0.01)
    assert unit.square().mean().item() == pytest.approx(1 / 3, abs=0.01)


def test_complex_uniform_noise_stays_in_a_square_of_half_the_variance_each(smooth_classifier, images64):
    unit = noise_of(Uniform(), Fourier(), smooth_classifier, images64)
    for part in (unit.real, unit.imag):
        assert 0.999 < part.abs().max() * 2**0.5 <= 1 + 1e-9


@pytest.mark.parametrize("kind", [Gaussian, Uniform])
def test_obfuscated_pixels_have_the_statistics_asked_for(kind, smooth_classifier):
    images = 0.45 + 0.1 * torch.rand(1, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rd = RateDistortion(smooth_classifier, Pixel(), kind())
    encoded = rd.encode(images)
    noise = rd.noise(encoded, NoiseStreams.of(images), slice(None), 100)
    y = rd.obfuscate(encoded, images.new_zeros(1, 256), noise)  # too close to grey to be clipped
    deviation = images.std(correction=0).item() / (1 if kind is Gaussian else 3**0.5)
    assert y.mean().item() == pytest.approx(images.mean().item(), abs=1e-3)
    assert y.std().item() == pytest.approx(deviation, rel=0.02)


def test_zero_removes_everything(images64):
    transform = Wavelet("db3", 2)
    location, scale = Zero().replacement(images64, transform(images64), transform)
    assert scale is None
    assert location.abs().max() == 0


@pytest.mark.parametrize("transform", [Pixel(), Fourier(), Wavelet("db3", 2)])
@pytest.mark.parametrize("value", [0.5, 0.2])
def test_constant_is_the_transform_of_a_constant_image(transform, value, images64):
    coefficients = transform(images64)
    location, scale = Constant(value).replacement(images64, coefficients, transform)
    assert scale is None
    picture = transform.inverse(Coefficients(coefficients.layout.split(location), coefficients.layout))
    torch.testing.assert_close(picture, torch.full_like(images64, value), rtol=0, atol=1e-8)


@pytest.mark.parametrize("transform", [Pixel(), Wavelet("db3", 2)])
def test_blur_is_the_transform_of_the_blurred_image(transform, images64):
    coefficients = transform(images64)
    location, scale = Blur(0.1).replacement(images64, coefficients, transform)
    assert scale is None
    picture = transform.inverse(Coefficients(coefficients.layout.split(location), coefficients.layout)).numpy()
    sigma = 0.1 * 16  # cut off at 3 sigma, borders mirrored without repeating the edge
    expected = scipy.ndimage.gaussian_filter(
        images64.numpy(), (0, 0, sigma, sigma), mode="mirror", radius=(0, 0, round(3 * sigma), round(3 * sigma))
    )
    np.testing.assert_allclose(picture, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (3, 3)])
def test_blur_of_tiny_images_keeps_their_mean_within_their_range(size):
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    location, _ = Blur(0.5).replacement(image, Pixel()(image), Pixel())
    assert location.min() >= image.min() - 1e-6
    assert location.max() <= image.max() + 1e-6
