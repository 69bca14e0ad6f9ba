"""The spatial penalty: its value, its gradient, what it does to explanations, and which methods have it."""

import pytest
import torch

from amortex.core.errors import InputError
from amortex.explainers import SPATIAL_PENALTY, build_explainer
from amortex.explainers.base import picture
from amortex.explainers.presets import Preset
from amortex.explainers.rde import RDE
from amortex.explainers.spatial_penalty import SpatialPenalty
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.shearlet import Shearlet
from amortex.transforms.wavelet import Wavelet

PLAIN = Preset("plain", steps=40, samples=2, lr=0.1, schedule="cosine")
TRANSFORMS = (Pixel(), Wavelet("db3", 1), Fourier(2), Shearlet(1))


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: transform.name)
@pytest.mark.parametrize("internal_batch_size", [1, 16])
def test_it_is_the_mean_magnitude_of_the_grey_explanation(transform, internal_batch_size, smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, transform, internal_batch_size=internal_batch_size)
    encoded = rd.encode(images64)
    mask = torch.rand(4, encoded.layout.k, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    penalty = SpatialPenalty(rd, encoded, 3.0)
    grey = transform(images64.mean(1, keepdim=True))
    shown = transform.inverse(grey.map(torch.mul, grey.layout.split(mask[:, None])))
    torch.testing.assert_close(penalty.value(mask), 3 * shown.abs().mean((1, 2, 3)))
    change = torch.randn(mask.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    slope = (penalty.value(mask + 1e-7 * change) - penalty.value(mask - 1e-7 * change)) / 2e-7
    torch.testing.assert_close((penalty.gradient(mask) * change).sum(1), slope, rtol=1e-4, atol=1e-6)


def test_without_a_weight_there_is_none(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    encoded = rd.encode(images)
    penalty, mask = SpatialPenalty(rd, encoded, 0.0), torch.ones(3, encoded.layout.k)
    assert not penalty.value(mask).any()
    assert not penalty.gradient(mask).any()
    assert "spatial_penalty" not in RDE(rd).settings()  # what was cached without one stays valid
    assert RDE(rd, spatial_penalty=0.5).settings()["spatial_penalty"] == 0.5


def test_explanations_show_less_with_it(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Shearlet(2))
    shown = []
    for weight in (0.0, 1.0, 10.0):
        explainer = RDE(rd, lambda_k=0.01, preset=PLAIN, spatial_penalty=weight)
        shown.append(picture(rd, explainer.explain(images)).mean((1, 2, 3)))
    assert bool((shown[0] > shown[1]).all())
    assert bool((shown[1] > shown[2]).all())


def test_the_mask_is_empty_where_the_penalty_costs_more_than_all_distortion(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    still = PLAIN.but(steps=100, lr=1e-6, peak=10.0)  # masks stay full, and lose to empty ones by the penalty alone
    assert RDE(rd, lambda_k=0.0, preset=still).explain(images).mask.min() > 0.9
    assert not RDE(rd, lambda_k=0.0, preset=still, spatial_penalty=1e4).explain(images).mask.any()


@pytest.mark.parametrize("method", ["shearletx", "waveletx"])
def test_methods_with_the_penalty_take_another_weight(method, tiny_classifier):
    rd = RateDistortion(tiny_classifier, Shearlet(2) if method == "shearletx" else Wavelet("haar", 2))
    assert build_explainer(method, rd).spatial_penalty == SPATIAL_PENALTY
    assert build_explainer(method, rd, spatial_penalty=0.0).spatial_penalty == 0
    for refused in (-1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="spatial penalty"):
            build_explainer(method, rd, spatial_penalty=refused)
