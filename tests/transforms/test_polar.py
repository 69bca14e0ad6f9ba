"""Magnitudes and phases: exactness, noise, interpolation on the circle, and what is kept of an impulse."""

import math

import pytest
import torch
from torch import nn

from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import picture
from amortex.explainers.presets import PRESETS
from amortex.explainers.rde import RDE
from amortex.explainers.wam import WAM
from amortex.obfuscations import build_obfuscation
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.polar import Polar, own_conjugates
from helpers.classifiers import build_classifier
from helpers.signals import signal_classifier, signals

SIZES = ((16,), (15,), (8, 6), (7, 5), (4, 5, 6))


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_polar_form_and_its_inverse_exact(size):
    transform, x = Polar(2), noise(2, 3, *size)
    coefficients = transform(x)
    magnitude, phase = coefficients.bands
    spectrum = torch.fft.rfftn(x, dim=tuple(range(2, x.ndim)), norm="ortho")
    torch.testing.assert_close(torch.polar(magnitude, phase), spectrum)
    torch.testing.assert_close(transform.inverse(coefficients), x)
    assert bool((magnitude >= 0).all())
    assert bool(((phase > -math.pi) & (phase <= math.pi)).all())
    assert coefficients.layout.k == 2 * spectrum[0, 0].numel()


@pytest.mark.parametrize("size", SIZES)
def test_phases_of_real_coefficients_are_zero_or_pi(size):
    phase = Polar(2)(noise(20, 1, *size)).bands[1]
    real = own_conjugates(size)
    assert int(real.sum()) == 2 ** sum(length % 2 == 0 for length in size)
    torch.testing.assert_close(phase[..., real].sin(), torch.zeros_like(phase[..., real]), rtol=0, atol=1e-12)
    assert set(phase[..., real].flatten().tolist()) == {0.0, math.pi}
    assert bool((phase[..., ~real].sin().abs().mean() > 0.5).all())


def test_gradients_are_exact():
    transform, x = Polar(2), noise(1, 2, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda image: transform(image).bands[0], (x,))
    coefficients = transform(x.detach())
    bands = tuple(band.requires_grad_() for band in coefficients.bands)
    assert torch.autograd.gradcheck(lambda *parts: transform.inverse(coefficients._replace(bands=parts)), bands)


@pytest.mark.parametrize("name", ["gaussian", "uniform", "fading"])
def test_replaced_phases_are_uniform_on_the_circle_and_those_of_real_coefficients_are_signs(name):
    rd = RateDistortion(signal_classifier(1), Polar(2), build_obfuscation(name), value_range=(-1.0, 1.0))
    encoded = rd.encode(signals(1))
    empty = torch.zeros(2, encoded.layout.k)
    draws = rd.noise(encoded, NoiseStreams.of(encoded.image), slice(None), 200)
    phase = rd.mix(encoded, empty, draws).bands[1]
    real = own_conjugates((250,))
    turns = (phase[..., ~real] / (2 * math.pi)) % 1
    quantiles = torch.quantile(turns.flatten(), torch.linspace(0.1, 0.9, 9))
    torch.testing.assert_close(quantiles, torch.linspace(0.1, 0.9, 9), rtol=0, atol=0.01)
    assert phase[..., real].cos().abs().min() > 1 - 1e-5
    assert phase[..., real].cos().mean().abs() < 0.1
    if name != "fading":  # whose magnitudes are around silence
        magnitude = rd.mix(encoded, empty, draws).bands[0]
        own = rd.encode(signals(1)).coefficients.bands[0]
        # level 1 holds the upper half of the frequencies: their mean is that of the signal's own magnitudes
        torch.testing.assert_close(magnitude[..., 63:].mean(), own[..., 63:].mean(), rtol=0.05, atol=0)


def test_mask_values_in_between_go_the_shorter_way_round():
    rd = RateDistortion(signal_classifier(1), Polar(2), build_obfuscation("blur"), value_range=(-1.0, 1.0))
    encoded = rd.encode(signals(1))
    own, half = encoded.coefficients.bands[1], encoded.layout.k // 2
    blurred = Polar(2)(rd.transform.inverse(rd.mix(encoded, torch.zeros(2, 2 * half), None))).bands[1]
    mixed = rd.mix(encoded, torch.full((2, 2 * half), 0.25), None).bands[1]
    between = torch.polar(torch.ones(()), 0.25 * torch.angle(torch.polar(torch.ones(()), own - blurred)) + blurred)
    # where blur leaves something, whose phase is known
    loud = rd.transform(rd.transform.inverse(rd.mix(encoded, torch.zeros(2, 2 * half), None))).bands[0] > 1e-2
    torch.testing.assert_close(torch.polar(torch.ones(()), mixed)[loud], between[loud], rtol=0, atol=1e-2)
    full = rd.obfuscate(encoded, torch.ones(2, 2 * half), None)[:, 0]
    torch.testing.assert_close(full, signals(1), rtol=0, atol=1e-5)


class Where(nn.Module):
    """In which quarter of a sound the energy is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 20 * x.square().unflatten(-1, (4, -1)).sum((1, 3))


def test_of_an_impulse_phases_are_kept_and_magnitudes_are_not():
    click = torch.zeros(1, 1, 64)
    click[..., 21] = 0.9  # all magnitudes are the same, so that their adaptive noise is, too
    rd = RateDistortion(build_classifier(Where(), (1, 64), "where"), Polar(1), build_obfuscation("gaussian"))
    encoded = rd.encode(click)
    half = encoded.layout.k // 2
    phases, magnitudes = torch.zeros(2, 1, 2 * half)
    phases[:, half:], magnitudes[:, :half] = 1, 1
    streams = NoiseStreams.evaluation(click)
    assert rd(encoded, phases, streams).distortion.max() < 1e-6
    assert rd(encoded, magnitudes, streams).distortion.mean() > 0.1
    mask = RDE(rd, lambda_k=0.5, preset=PRESETS["paper"].but(steps=100, lr=0.02, samples=8)).explain(click).mask
    assert mask[:, :half].mean() < 0.5 * mask[:, half:].mean()


def test_pictures_are_of_the_grey_image_and_wam_is_refused():
    rd = RateDistortion(signal_classifier(2), Polar(2))
    explanation = RDE(rd, preset=PRESETS["fast"].but(steps=1)).explain(signals(2))
    full = picture(rd, type(explanation)(explanation.encoded, torch.ones_like(explanation.mask), explanation.mask))
    torch.testing.assert_close(full, signals(2).mean(1, keepdim=True), rtol=0, atol=1e-5)
    with pytest.raises(InputError, match="WAM needs a linear transform, and polar is none: use fourier"):
        WAM(rd)
