"""Distortion and rate against a plain float64 loop: per image, per draw, inverted by PyWavelets and numpy."""

import numpy as np
import pytest
import pywt
import scipy.special
import scipy.stats
import torch

from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.obfuscations.constant import Constant, Zero
from amortex.obfuscations.gaussian import Gaussian
from amortex.obfuscations.uniform import Uniform
from amortex.rate_distortion.encoded_batch import class_probability
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.wavelet import Wavelet

SAMPLES, SEED = 3, 7
TRANSFORMS = (Wavelet("db2", 2), Pixel(), Fourier(3))
each_transform = pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: type(t).__name__)


def invert(flat: np.ndarray, transform) -> np.ndarray:
    """Coefficients ``(C, k)`` -> image ``(C, 16, 16)``, without amortex."""
    if isinstance(transform, Pixel):
        return flat.reshape(-1, 16, 16)
    if isinstance(transform, Fourier):
        return np.fft.irfft2(flat.reshape(-1, 16, 9), s=(16, 16), norm="ortho")
    low, fine, coarse = (band.numpy() for band in transform.layout((16, 16)).split(torch.from_numpy(flat)))
    details = [tuple(np.moveaxis(detail, 1, 0)) for detail in (coarse, fine)]
    return pywt.waverec2([low, *details], transform.wavelet, mode=transform.padding)[..., :16, :16]


def unit_noise(rd: RateDistortion, image: torch.Tensor, layout) -> np.ndarray:
    """``(L, C, k)``: a draw holds band after band, each in the order of positions, channels, orientations."""
    kind, parts = type(rd.obfuscation), 2 if layout.is_complex else 1
    fill = {Gaussian: lambda o, g: o.normal_(generator=g), Uniform: lambda o, g: o.uniform_(-1, 1, generator=g)}[kind]
    streams = NoiseStreams.of(image[None], SEED).fill(fill, slice(None), SAMPLES, (3 * layout.k * parts,), image.dtype)[
        0
    ]
    if layout.is_complex:
        streams = torch.complex(streams[:, ::2], streams[:, 1::2]) / 2**0.5
    sizes = [3 * torch.Size(band.shape).numel() for band in layout.bands]
    bands = []
    for part, band in zip(streams.split(sizes, 1), layout.bands, strict=True):
        height, width = band.shape[-2:]
        bands.append(part.reshape(SAMPLES, height * width, 3, -1).permute(0, 2, 3, 1).flatten(2))
    return torch.cat(bands, 2).numpy()


def distortion_by_loop(rd: RateDistortion, encoded, mask: torch.Tensor, index: int) -> float:
    """Mean distortion of one image."""
    layout, image = encoded.layout, encoded.image[index]
    h, s = encoded.coefficients.flat[index].numpy(), mask[index].numpy()
    location = layout.join(encoded.location)[index].numpy()
    c = int(encoded.target[index])

    def phi(x: np.ndarray) -> np.ndarray:
        return scipy.special.softmax(rd.classifier(torch.from_numpy(x)[None])[0].numpy())

    p, values = phi(image.numpy()), []
    noise = [0.0] if encoded.scale is None else unit_noise(rd, image, layout)
    scale = 0.0 if encoded.scale is None else layout.join(encoded.scale)[index].numpy()
    for unit in noise:
        v = location + scale * unit
        q = phi(np.clip(invert(s * h + (1 - s) * v, rd.transform), 0, 1))
        name = rd.distortion if c == p.argmax() else "label_max"
        values.append({
            "label_l2": (q[c] - p[c]) ** 2, "label_max": 1 - q[c], "l2": np.linalg.norm(q - p),
            "kl": scipy.stats.entropy(p, q),
        }[name])  # fmt: skip
    return float(np.mean(values))


def random_masks(layout, batch: int) -> torch.Tensor:
    return torch.rand(batch, layout.k, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def case(classifier, images, transform, obfuscation=None, distortion="label_l2", target=None, size=16):
    rd = RateDistortion(classifier, transform, obfuscation, distortion, internal_batch_size=size)
    encoded = rd.encode(images, target)
    return rd, encoded, random_masks(encoded.layout, len(images))


@each_transform
@pytest.mark.parametrize("distortion", ["label_l2", "label_max", "l2", "kl"])
@pytest.mark.parametrize("obfuscation", [Gaussian(), Uniform(), Constant(), Zero()], ids=lambda o: type(o).__name__)
def test_distortion_equals_the_loop(transform, distortion, obfuscation, smooth_classifier, images64):
    rd, encoded, mask = case(smooth_classifier, images64, transform, obfuscation, distortion)
    outcome = rd(encoded, mask, NoiseStreams.of(images64, SEED), SAMPLES)
    value, _ = rd.value_and_gradient(encoded, mask, NoiseStreams.of(images64, SEED), SAMPLES)
    expected = [distortion_by_loop(rd, encoded, mask, index) for index in range(4)]
    assert min(expected) > 1e-6
    assert outcome.distortion.shape == (4, 1 if encoded.scale is None else SAMPLES)
    assert outcome.distortion.mean(1).tolist() == pytest.approx(expected, abs=1e-6)
    assert value.tolist() == pytest.approx(expected, abs=1e-6)
    torch.testing.assert_close(outcome.rate, mask.mean(1))


@each_transform
@pytest.mark.parametrize("distortion", ["label_l2", "kl"])
def test_gradient_equals_finite_differences_of_the_loop(transform, distortion, smooth_classifier, images64):
    rd, encoded, mask = case(smooth_classifier, images64[:2], transform, distortion=distortion)
    _, gradient = rd.value_and_gradient(encoded, mask, NoiseStreams.of(images64[:2], SEED), SAMPLES)
    generator, step = torch.Generator().manual_seed(0), 1e-6
    directions = [torch.randn(mask.shape, generator=generator, dtype=mask.dtype) for _ in range(3)]
    loudest = gradient.abs().argmax(1, keepdim=True)  # and the single entry that matters most
    directions.append(torch.zeros_like(mask).scatter_(1, loudest, 1.0))
    for direction in directions:
        for index in range(2):
            up, down = (distortion_by_loop(rd, encoded, mask + sign * step * direction, index) for sign in (1, -1))
            expected = (up - down) / (2 * step)
            assert (gradient[index] @ direction[index]).item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


@each_transform
@pytest.mark.parametrize("size", [1, 3, 5])
def test_result_does_not_depend_on_chunking(transform, size, smooth_classifier, images64):
    results = []
    for internal_batch_size in (16, size):
        rd, encoded, mask = case(smooth_classifier, images64, transform, size=internal_batch_size)
        outcome = rd(encoded, mask, NoiseStreams.of(images64), 7)
        gradient = rd.value_and_gradient(encoded, mask, NoiseStreams.of(images64), 7)
        results.append((encoded.probabilities, *outcome, *gradient))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@each_transform
def test_result_does_not_depend_on_the_batch(transform, smooth_classifier, images64):
    rd, encoded, mask = case(smooth_classifier, images64, transform)
    outcome = rd(encoded, mask, NoiseStreams.of(images64), SAMPLES)
    value, gradient = rd.value_and_gradient(encoded, mask, NoiseStreams.of(images64), SAMPLES)
    for index in range(4):
        one, alone = slice(index, index + 1), images64[index : index + 1]
        other = rd.encode(alone)
        torch.testing.assert_close(
            rd(other, mask[one], NoiseStreams.of(alone), SAMPLES).distortion, outcome.distortion[one]
        )
        v, g = rd.value_and_gradient(other, mask[one], NoiseStreams.of(alone), SAMPLES)
        torch.testing.assert_close(v, value[one], rtol=0, atol=1e-6)
        torch.testing.assert_close(g, gradient[one], rtol=0, atol=1e-6)


@pytest.mark.parametrize("distortion", ["label_l2", "l2", "kl"])
def test_a_class_that_is_not_predicted_is_measured_by_label_max(distortion, smooth_classifier, images64):
    predicted = smooth_classifier(images64).argmax(1)
    target = torch.where(torch.arange(4) < 2, predicted, (predicted + 1) % 4)
    rd, encoded, mask = case(smooth_classifier, images64, Pixel(), distortion=distortion, target=target)
    other, _, _ = case(smooth_classifier, images64, Pixel(), distortion="label_max")
    values = [r(encoded, mask, NoiseStreams.of(images64, SEED), SAMPLES).distortion for r in (rd, other)]
    assert encoded.predicted.tolist() == [True, True, False, False]
    assert torch.equal(values[0][2:], values[1][2:])
    assert not torch.isclose(values[0][:2], values[1][:2]).any()
    expected = [distortion_by_loop(rd, encoded, mask, index) for index in range(4)]
    assert values[0].mean(1).tolist() == pytest.approx(expected, abs=1e-6)


@each_transform
def test_full_mask_keeps_the_image_and_empty_mask_only_noise(transform, smooth_classifier, images64):
    rd, encoded, _ = case(smooth_classifier, images64, transform)
    full, empty = torch.ones(4, encoded.layout.k).double(), torch.zeros(4, encoded.layout.k).double()
    noise = rd.noise(encoded, NoiseStreams.of(images64), slice(None), 2)
    torch.testing.assert_close(rd.obfuscate(encoded, full, noise), images64[:, None].expand(-1, 2, -1, -1, -1))
    y = rd.obfuscate(encoded, empty, noise)
    assert y.shape == (4, 2, 3, 16, 16)
    assert 0 <= y.min() < y.max() <= 1
    assert rd(encoded, full, NoiseStreams.of(images64), 2).distortion.max() < 1e-10
    assert rd(encoded, full, NoiseStreams.of(images64), 2).rate.tolist() == [1] * 4
    assert rd(encoded, empty, NoiseStreams.of(images64), 2).rate.tolist() == [0] * 4


def test_reference_output_and_class_probability(smooth_classifier, images64):
    rd, encoded, _ = case(smooth_classifier, images64, Pixel(), target=torch.tensor([0, 1, 2, 3]))
    expected = smooth_classifier(images64).softmax(-1)
    torch.testing.assert_close(encoded.probabilities.double(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(class_probability(encoded).double(), expected.diagonal(), rtol=0, atol=1e-6)
    assert torch.equal(rd.encode(images64).target, expected.argmax(1))


@pytest.mark.parametrize("arguments", [{"distortion": "l1"}, {"internal_batch_size": 0}])
def test_unknown_settings_are_refused(arguments, tiny_classifier):
    with pytest.raises(InputError):
        RateDistortion(tiny_classifier, **arguments)
