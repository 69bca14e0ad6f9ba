"""Scales that classifiers rely on: exact for linear ones, paired over images, and in the report."""

import json
import re

import pytest
import torch
from torch import nn

from amortex.comparison.cache import ResultCache
from amortex.comparison.explained_batch import ExplainedBatch
from amortex.comparison.methods import Method
from amortex.comparison.scale_profiles import profile_of, profile_study
from amortex.comparison.stopwatch import Stopwatch
from amortex.core.errors import InputError
from amortex.explainers.base import Explanation
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.pixel import Pixel
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier
from helpers.comparing import compare, table

SIDE = 16


def linear(name, weight):
    """A method on a classifier whose first logit is the product of grey pixels and a picture ``(SIDE, SIDE)``."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 2))
    with torch.no_grad():
        net[1].weight.zero_()[0] = weight.expand(3, -1, -1).flatten()
        net[1].bias[:] = torch.tensor([100.0, 0.0])
    classifier = build_classifier(net, (3, SIDE, SIDE), name)
    return Method(name, WAM(RateDistortion(classifier, Wavelet("haar", 2)), "smoothgrad"), "exact")


def test_shares_are_of_the_scales_that_a_classifier_sees_and_differences_are_of_one_image(images):
    places = torch.arange(SIDE)
    stripes = [1.0 - 2 * (places // width % 2).float().expand(SIDE, SIDE) for width in (1, 2)]
    coarse, fine = linear("coarse", torch.ones(SIDE, SIDE)), linear("fine", stripes[0])
    both = linear("both", stripes[0] + stripes[1])
    batch = ExplainedBatch(images[..., :SIDE, :SIDE], ResultCache(None), Stopwatch())
    measured = {m.name: profile_study(m, coarse).measure(batch) for m in (coarse, fine, both)}
    for name, shares in {"coarse": (1, 0, 0), "fine": (0, 1, 0), "both": (0, 2 / 3, 1 / 3)}.items():
        # of details of one amplitude, level 2 has half as many coefficients across, which are twice as large
        expected = torch.tensor(shares, dtype=torch.float64).expand(3, -1)
        torch.testing.assert_close(measured[name].starting_with("scale_"), expected, rtol=0, atol=1e-4)
    assert "coarse_difference" not in measured["coarse"].columns
    torch.testing.assert_close(measured["fine"]["coarse_difference"], -torch.ones(3).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(measured["both"]["coarse"], torch.full((3,), 1 / 3).double(), rtol=0, atol=1e-4)


def test_an_empty_mask_has_no_profile(tiny_classifier, images):
    encoded = RateDistortion(tiny_classifier, Wavelet("haar", 2)).encode(images)
    nothing = torch.zeros(3, encoded.layout.k)
    assert profile_of(Explanation(encoded, nothing, nothing)).isnan().all()


def test_masks_over_pixels_have_no_scales(tiny_classifier):
    method = Method("pixels", WAM(RateDistortion(tiny_classifier, Pixel())), "exact")
    with pytest.raises(InputError, match="no scales"):
        profile_study(method, method)


def test_classifiers_are_in_the_report(folder):
    others = "{plain: {}, sharp: {model_args: {sharpness: 3.0}}, wide: {model_args: {width: 6}}}"
    section = ("--model.sections", "[robustness]", "--model.robustness_methods", "[wam_sg, gradcam, saliency]")
    assert compare(*section, "--model.classifiers", others) == 0
    robustness = table(folder / "report", "robustness")
    rows = [json.loads(line) for line in (folder / "report/images.jsonl").read_text().splitlines()]
    coarse = {(row["row"], row["image"]): row["coarse"] for row in rows}
    for name in ("sharp", "wide"):
        of_images = [row for row in rows if row["row"] == f"wam_sg, {name}"]
        assert len(of_images) == 3
        for row in of_images:
            expected = row["coarse"] - coarse["wam_sg, plain", row["image"]]
            assert row["coarse_difference"] == pytest.approx(expected, abs=1e-12)
    assert float(robustness["wam_sg, sharp", "coarse_difference"]["mean"]) == pytest.approx(0, abs=1e-5)
    assert abs(float(robustness["wam_sg, wide", "coarse_difference"]["mean"])) > 1e-3
    report = (folder / "report/report.md").read_text()
    assert "coarse_difference |" in report
    assert re.search("(?i)saliency, wide: it has no scales", report)
    assert (folder / "report/robustness.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("classifiers", "why"),
    [
        ("null", "needs two classifiers or more"),
        ("{one: {}}", "needs two classifiers or more"),
        ("{one: {}, two: {weight: a.safetensors}}", "unknown setting of a classifier 'weight': did you mean weights?"),
        ("{one: {}, two: {weights: none.safetensors}}", "none.safetensors"),
    ],
)
def test_classifiers_that_cannot_be_compared_get_one_line(classifiers, why, folder, capsys):
    assert compare("--model.sections", "[robustness]", "--model.classifiers", classifiers) == 2
    assert why in capsys.readouterr().err
    assert not (folder / "report").exists()
