"""Optimised masks on a toy problem whose optimum is known, and what determines them."""

import pytest
import scipy.optimize
import torch
from torch import nn

from amortex.core.layout import Coefficients
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.presets import PRESETS, Preset
from amortex.explainers.rde import RDE
from amortex.obfuscations.base import Obfuscation
from amortex.obfuscations.constant import Constant
from amortex.obfuscations.gaussian import Gaussian
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier
from helpers.presets import HAAR, SHORT

KNOWN = (20, 75, 131, 200)
LOUD = 0.8  # their value in the toy images
STRENGTH, BIAS = 12.0, -4.0
CONTINUED = SHORT.but(peak=8.0)


class ReadsFourCoefficients(nn.Module):
    """Logits ``(strength * mean of four coefficients / loud + bias, 0)``; all else is ignored."""

    def __init__(self) -> None:
        super().__init__()
        layout = HAAR.layout((16, 16))
        unit = torch.zeros(1, 1, layout.k)
        unit[..., list(KNOWN)] = 1 / (12 * LOUD)  # the mean over four entries and three channels
        self.register_buffer("weight", HAAR.inverse(Coefficients(layout.split(unit), layout)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # halved: the test classifiers' normalisation, (x - 0.5) / 0.5, doubles details
        score = STRENGTH * (x * self.weight).sum((1, 2, 3)) / 2 + BIAS
        return torch.stack([score, torch.zeros_like(score)], dim=1)


@pytest.fixture(scope="module")
def toy_classifier():
    return build_classifier(ReadsFourCoefficients(), (3, 16, 16), "toy")


@pytest.fixture(scope="module")
def toy_images() -> torch.Tensor:
    """Grey, with weak details everywhere but for four loud ones: nothing is ever clipped."""
    layout = HAAR.layout((16, 16))
    flat = 0.02 * torch.randn(2, 3, layout.k, generator=torch.Generator().manual_seed(0))
    flat[..., layout.level == 0] = 4 * 0.5  # of the constant image 0.5 at two levels
    flat[..., list(KNOWN)] = LOUD
    return HAAR.inverse(Coefficients(layout.split(flat), layout))


@pytest.fixture(scope="module")
def solve(toy_classifier, toy_images):
    """Masks of the toy images at a lambda_k of 2, each found once."""
    masks: dict[tuple[str, str, str], torch.Tensor] = {}

    def solution(obfuscation: Obfuscation, preset: Preset, init: str = "ones") -> torch.Tensor:
        key = (type(obfuscation).__name__, preset.name, init)
        if key not in masks:
            rd = RateDistortion(toy_classifier, HAAR, obfuscation)
            masks[key] = RDE(rd, lambda_k=2.0, preset=preset, init=init).explain(toy_images).mask
        return masks[key]

    return solution


def objective(rd: RateDistortion, image: torch.Tensor, mask: torch.Tensor, lambda_k: float) -> torch.Tensor:
    encoded = rd.encode(image)
    outcome = rd(encoded, mask, NoiseStreams.of(image, 99, "evaluate"), 64)
    return outcome.distortion.mean(1) + lambda_k * outcome.rate


def test_toy_images_are_what_the_tests_take_them_for(toy_classifier, toy_images):
    assert 0 < toy_images.min() < toy_images.max() < 1
    expected = torch.full((2,), STRENGTH + BIAS)
    torch.testing.assert_close(toy_classifier(toy_images)[:, 0], expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("preset", "obfuscation"),
    [
        (SHORT, Constant()),
        (SHORT, Gaussian()),
        (PRESETS["fast"], Gaussian()),
        pytest.param(PRESETS["fast"], Constant(), marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "name", None),
)
@pytest.mark.parametrize("init", ["ones", "startgrad", "sensitivity"])
def test_mask_finds_the_coefficients_that_matter(obfuscation, preset, init, solve):
    mask = solve(obfuscation, preset, init)
    known = torch.zeros(256, dtype=torch.bool)
    known[list(KNOWN)] = True
    assert mask[:, known].min() > 0.5
    assert mask[:, ~known].max() < 0.01


def test_continuation_does_not_hold_a_start_that_is_ruined_or_given(toy_classifier, toy_images):
    rd = RateDistortion(toy_classifier, HAAR, Gaussian())
    twice = torch.cat([toy_images, toy_images])
    start = torch.full((4, 256), 0.25)
    start[2:] /= 10
    mask = RDE(rd, lambda_k=2.0, preset="fast", init=start).explain(twice).mask
    ends, starts = (objective(rd, twice, masks, 2.0) for masks in (mask, start))
    assert ends[:2].max() < starts[:2].min() / 2
    assert ends[2:].max() < starts[2:].min() / 2


@pytest.mark.parametrize(
    ("preset", "slack"),
    [
        (SHORT, 0.02),
        (CONTINUED, 0.02),
        (PRESETS["fast"], 0.1),
        pytest.param(PRESETS["converged"], 0.05, marks=pytest.mark.slow),
    ],
)
def test_mask_reaches_the_known_optimum(preset, slack, solve, toy_classifier, toy_images):
    lambda_k = 2.0
    rd = RateDistortion(toy_classifier, HAAR, Constant())
    mask = solve(Constant(), preset)
    probability = rd.encode(toy_images).probabilities[0, 0].item()

    def by_formula(s: float) -> float:  # all four alike by symmetry, all others zero
        kept = torch.tensor(STRENGTH * s + BIAS).sigmoid().item()
        return (kept - probability) ** 2 + lambda_k * 4 * s / 256

    best = scipy.optimize.minimize_scalar(by_formula, bounds=(0.2, 1), method="bounded", options={"xatol": 1e-6})
    assert best.fun < by_formula(0) / 10
    for value in objective(rd, toy_images, mask, lambda_k).tolist():
        assert best.fun - 1e-4 < value < best.fun * (1 + slack)
    assert mask[:, list(KNOWN)].mean(1).tolist() == pytest.approx([best.x] * 2, abs=0.1)


def test_objective_ends_well_below_the_full_and_the_empty_mask(smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, Wavelet("haar", 2))
    mask = RDE(rd, lambda_k=0.05, preset=SHORT.but(steps=150)).explain(images64).mask
    value, full, empty = (objective(rd, images64, m, 0.05) for m in (mask, torch.ones_like(mask), 0 * mask))
    assert (value < 0.85 * torch.minimum(full, empty)).all()


@pytest.mark.parametrize("lambda_k", [0.5, 5.0, 100.0])
def test_no_mask_costs_more_than_the_empty_one(lambda_k, smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, Wavelet("haar", 2))
    mask = RDE(rd, lambda_k, PRESETS["fast"].but(steps=100)).explain(images64).mask
    value, empty = (objective(rd, images64, m, lambda_k) for m in (mask, 0 * mask))
    assert (value < empty + 0.03).all()  # it is told by two draws a step


def test_relevance_tells_zeros_apart(smooth_classifier, images64):
    explanation = RDE(RateDistortion(smooth_classifier, Wavelet("haar", 2)), 0.2, "fast").explain(images64)
    zeros = explanation.relevance[explanation.mask == 0]
    assert len(zeros) > 100
    assert len(zeros.unique()) > len(zeros) / 2
    soft = ((explanation.mask > 0) & (explanation.mask < 1)).any(1)
    assert soft.any()
    assert torch.equal(explanation.importance[soft], explanation.mask[soft])


def test_rate_falls_with_lambda(smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, Wavelet("haar", 2))
    rates = [RDE(rd, x, SHORT.but(steps=60)).explain(images64).mask.mean() for x in (0.0, 0.1, 10.0)]
    assert rates[0] > rates[1] > rates[2]
    assert rates[2] < 0.01
