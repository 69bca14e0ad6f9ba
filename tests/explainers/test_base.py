"""What all explainers share: the picture, the map over pixels, and the list of methods."""

import numpy as np
import pytest
import pywt
import torch

from amortex.core.catalog import load
from amortex.core.errors import InputError
from amortex.explainers import METHODS, build_explainer
from amortex.explainers.base import Explanation, check_share, picture
from amortex.explainers.minimal_image import StaticMinimalImage
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.problem import Problem
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier


def test_picture_is_the_inverse_of_the_masked_grey_image(smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, Wavelet("db2", 2))
    encoded = rd.encode(images64)
    mask = torch.rand(4, encoded.layout.k, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = picture(rd, Explanation(encoded, mask, mask))
    assert drawn.shape == (4, 1, 16, 16)
    for index, image in enumerate(images64.numpy()):
        low, coarse, fine = pywt.wavedec2(image.mean(0), "db2", mode="zero", level=2)
        s_low, s_fine, s_coarse = (part.numpy() for part in encoded.layout.split(mask[index]))
        masked = [low * s_low] + [
            tuple(d * s for d, s in zip(detail, masks, strict=True))
            for detail, masks in ((coarse, s_coarse), (fine, s_fine))
        ]
        expected = np.clip(pywt.waverec2(masked, "db2", mode="zero"), 0, 1)
        np.testing.assert_allclose(drawn[index, 0], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("transform", [Pixel(), Fourier(), Wavelet("haar", 2)])
def test_picture_of_the_full_mask_is_the_grey_image_and_of_the_empty_mask_black(transform, smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, transform)
    encoded = rd.encode(images64)
    full = torch.ones(4, encoded.layout.k, dtype=torch.float64)
    drawn = picture(rd, Explanation(encoded, full, full))
    torch.testing.assert_close(drawn, images64.mean(1, keepdim=True), rtol=0, atol=1e-7)
    assert picture(rd, Explanation(encoded, 0 * full, full)).max() == 0


def test_attribute_of_a_pixel_method_is_its_relevance(smooth_classifier, images64):
    wam = WAM(RateDistortion(smooth_classifier, Pixel()))
    expected = wam.explain(images64).relevance.reshape(4, 1, 16, 16).expand(-1, 3, -1, -1)
    torch.testing.assert_close(wam.attribute(images64), expected)


@pytest.mark.parametrize("wavelet", ["haar", "db3", "sym4", "bior4.4"])
@pytest.mark.parametrize("place", [(20, 20), (20, 76), (76, 20), (48, 60)])
def test_attribute_points_at_the_place_that_the_classifier_looks_at(place, wavelet):
    class Looks(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y, z = place
            score = x[:, :, y - 2 : y + 3, z - 2 : z + 3].sum((1, 2, 3))
            return torch.stack([score, -score], dim=1)

    x = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    spatial = WAM(RateDistortion(build_classifier(Looks(), (3, 96, 96), "looks"), Wavelet(wavelet, 3))).attribute(
        x, target=0
    )[0, 0]
    weight, pixels = spatial.square() / spatial.square().sum(), torch.arange(96.0)
    centre = [float(weight.sum(axis) @ pixels) for axis in (1, 0)]
    assert centre == pytest.approx(place, abs=3)


@pytest.mark.parametrize("method", METHODS)
def test_methods_build_over_their_own_transform(method, tiny_classifier):
    entry = METHODS[method]
    rd = RateDistortion(tiny_classifier, Problem(transform=entry.transform).build_transform())
    explainer = build_explainer(method, rd, seed=3)
    assert isinstance(explainer, load(entry.path))
    assert explainer.rate_distortion is rd
    assert explainer.settings()["seed"] == 3
    assert all(explainer.settings()[key] == value for key, value in entry.arguments.items())


def test_minimal_static_uses_smoothgrad_with_the_seed_of_the_run(tiny_classifier):
    explainer = StaticMinimalImage(RateDistortion(tiny_classifier, Pixel()), seed=5)
    assert (explainer.wam.variant, explainer.wam.seed) == ("smoothgrad", 5)


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.01, float("nan")])
def test_a_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(InputError, match="rate"):
        check_share(rate)
    assert check_share(1.0) == 1.0


def test_targets_are_integers_of_any_type_one_for_each_input(smooth_classifier, images64):
    wam = WAM(RateDistortion(smooth_classifier, Pixel()))
    expected = wam.explain(images64, torch.tensor([0, 1, 2, 0])).mask
    assert torch.equal(wam.explain(images64, torch.tensor([0, 1, 2, 0], dtype=torch.int32)).mask, expected)
    for target, why in (
        (torch.ones(4), "an integer"), (torch.ones(4, dtype=torch.bool), "an integer"),
        (torch.tensor([0, 1]), r"shape \(4,\), one for each input, not \(2,\)"),
        (torch.tensor([0, 1, 2, -1]), "classes 0 to"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=why):
            wam.explain(images64, target)
    with pytest.raises(InputError, match="an integer"):
        wam.attribute(images64, True)
