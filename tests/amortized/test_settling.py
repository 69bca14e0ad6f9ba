"""Settling: its gradient against closed forms and autograd, and what it drops."""

import pytest
import torch
from torch import nn

from amortex.amortized.settling import expected_gradient, settle
from amortex.core.noise_streams import NoiseStreams
from amortex.obfuscations.constant import Constant
from amortex.rate_distortion.distortions import KL_WEIGHT, surrogate
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier

DRAWS = 2000


def draws() -> NoiseStreams:
    return NoiseStreams(range(DRAWS))


@pytest.fixture(scope="module")
def image():
    generator = torch.Generator().manual_seed(3)
    return 0.5 + 0.05 * torch.randn(1, 3, 16, 16, generator=generator, dtype=torch.float64)  # noise hardly clips it


@pytest.fixture(scope="module")
def linear():
    """Of 3 classes, whose outputs are linear in the pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    classifier = build_classifier(network, (3, 16, 16), "linear", activation="none").double()
    return RateDistortion(classifier, Wavelet("haar", 2), internal_batch_size=500)


def test_for_linear_outputs_the_gradient_is_the_closed_form(linear, image):
    encoded = linear.encode(image)
    layout, target = encoded.layout, encoded.target
    mask = torch.rand(1, layout.k, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    away = encoded.coefficients.flat - layout.join(encoded.location)
    bands = encoded.coefficients.map(lambda band: band.clone().requires_grad_())
    output = linear.phi(linear.picture(bands))[0, target].sum()
    weight = layout.join(torch.autograd.grad(output, bands.bands))  # output by coefficients, the same everywhere
    miss = -(weight * (1 - mask[:, None]) * away).sum()
    noise = (weight * layout.join(encoded.scale)).square().sum(1)
    expected = 2 * miss * (weight * away).sum(1) - 2 * (1 - mask) * noise
    _, estimates = expected_gradient(linear, encoded.repeat(DRAWS), mask.expand(DRAWS, -1), draws(), divergence=0.0)
    error = (estimates.mean(0) - expected[0]).norm() / expected.norm()
    deviation = estimates.std(0).norm() / DRAWS**0.5 / expected.norm()
    assert error < 3 * deviation < 0.3


@pytest.mark.parametrize("target", [None, 2])
def test_on_average_it_is_the_gradient_of_autograd_with_less_variance(target, smooth_classifier, image):
    rd = RateDistortion(smooth_classifier, Wavelet("haar", 2), internal_batch_size=500)
    encoded = rd.encode(image, None if target is None else torch.tensor([target])).repeat(DRAWS)
    mask = torch.full((DRAWS, encoded.layout.k), 0.6, dtype=torch.float64)
    _, estimates = expected_gradient(rd, encoded, mask, draws())
    leaf = mask.clone().requires_grad_()
    outputs = rd.outputs(encoded, leaf, rd.noise(encoded, draws(), slice(0, DRAWS), 1))
    p, classes = encoded.probabilities, encoded.target
    loss = rd.distortions(encoded, outputs) + KL_WEIGHT * surrogate(p, outputs, classes, encoded.predicted)
    (plain,) = torch.autograd.grad(loss.sum(), leaf)
    assert estimates.var(0).mean() < 0.8 * plain.var(0).mean()
    assert torch.corrcoef(torch.stack([estimates.mean(0), plain.mean(0)]))[0, 1] > 0.9


@pytest.mark.parametrize("arguments", [{"obfuscation": Constant()}, {"distortion": "l2"}, {"distortion": "kl"}])
def test_elsewhere_it_is_the_plain_gradient(arguments, smooth_classifier, image):
    rd = RateDistortion(smooth_classifier, Wavelet("haar", 2), **arguments)
    encoded = rd.encode(image)
    mask = torch.full((1, encoded.layout.k), 0.6, dtype=torch.float64)
    expected = rd.value_and_gradient(encoded, mask, NoiseStreams.of(image), 1)
    for value, plain in zip(expected_gradient(rd, encoded, mask, NoiseStreams.of(image)), expected, strict=True):
        assert torch.equal(value, plain)


def test_settling_lowers_the_objective_and_counts_its_steps(smooth_classifier, image):
    rd = RateDistortion(smooth_classifier, Wavelet("haar", 2))
    encoded, seen = rd.encode(image), []
    start = torch.full((1, encoded.layout.k), 0.9, dtype=torch.float64)

    def objective(mask):
        outcome = rd(encoded, mask, NoiseStreams.evaluation(image), 64)
        return (outcome.distortion.mean(1) + outcome.rate).item()

    settled = settle(rd, encoded, start, 1.0, 120, NoiseStreams.of(image), lambda step, mask: seen.append(step))
    assert objective(settled) < 0.7 * objective(start)
    assert seen == list(range(1, 121))
    assert (settled == 0).any()
    assert ((settled >= 0) & (settled <= 1)).all()
    assert torch.equal(settle(rd, encoded, start, 1.0, 0, NoiseStreams.of(image)), start)
