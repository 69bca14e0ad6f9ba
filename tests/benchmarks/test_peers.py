"""The benchmark `peers`: attributions of other packages against known ones, and a run from end to end."""

import csv
import logging

import pytest
import torch
from torch import nn

from amortex.explainers.baselines import Baseline
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.scores import class_gradient
from amortex.transforms.pixel import Pixel
from benchmarks import peer_attributions, peer_methods, peer_packages, peers
from benchmarks.__main__ import main
from benchmarks.peer_packages import PEERS, PackageAttribution
from helpers.classifiers import build_classifier
from helpers.photographs import photographs
from helpers.problems import tiny_problem

CORNER = (slice(None), slice(None), slice(0, 16), slice(0, 16))


def explainer(rd: RateDistortion, name: str) -> PackageAttribution:
    """Of a peer; the test is skipped where its package is missing."""
    pytest.importorskip(peer_packages.MODULES[PEERS[name].package], exc_type=ImportError)
    return PackageAttribution(rd, name)


@pytest.fixture(scope="module")
def tiny():
    rd = tiny_problem("ReluNet", transform="pixel").build()
    return rd, torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def cornered():
    """A network and an image that have something in one corner alone, elsewhere what the network takes for zero."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(256, 2, bias=False)
    )
    with torch.no_grad():
        net[0].weight.abs_()
        weight = torch.zeros(2, 4, 8, 8)
        weight[0, :, :4, :4] = torch.rand(4, 4, 4) / 4
        net[4].weight.copy_(weight.flatten(1))
    image = torch.full((1, 3, 32, 32), 0.5)
    image[CORNER] += 0.1 + 0.4 * torch.rand(1, 3, 16, 16)
    return RateDistortion(build_classifier(net, (3, 32, 32), "cornered"), Pixel()), image


# EigenCAM's principal component has an arbitrary sign
@pytest.mark.parametrize("name", [name for name in PEERS if name != "grad-cam EigenCAM"])
def test_every_peer_finds_what_the_network_sees(cornered, name, monkeypatch):
    monkeypatch.setattr(peer_attributions, "RISE_MASKS", 500)
    monkeypatch.setattr(peer_attributions, "RISE_CELLS", 2)  # few masks tell few cells apart
    rd, image = cornered
    made = explainer(rd, name).explain(image)
    relevance = made.relevance.reshape(1, 1, 32, 32)
    assert (
        relevance[CORNER].mean() > 1.3 * relevance.mean()
    )  # 4 times where all of it is in the corner; RISE's is blurred
    if "positive" in PEERS[name].signs:
        assert made.signed.reshape(1, 1, 32, 32)[CORNER].mean() > 0  # evidence for the class


def test_saliency_is_the_absolute_gradient(tiny):
    rd, image = tiny
    made = explainer(rd, "captum Saliency").explain(image)
    gradient = class_gradient(rd, image, made.encoded.target).abs().sum(1).flatten(1)
    torch.testing.assert_close(made.relevance, 0.5 * gradient)  # by normalised pixels, whose unit is half as large


def test_grad_cam_is_ours_from_zero_to_one(tiny):
    rd, image = tiny
    theirs = explainer(rd, "grad-cam GradCAM").explain(image).relevance
    ours = Baseline(rd, "gradcam").explain(image).relevance
    low, high = ours.amin(1, keepdim=True), ours.amax(1, keepdim=True)
    torch.testing.assert_close(theirs, (ours - low) / (high - low), rtol=0, atol=1e-4)


def test_passes_of_packages_are_counted(tiny):
    rd, image = tiny
    for name, passes in (("captum Saliency", 3), ("captum IntegratedGradients", 150), ("captum SmoothGrad", 75)):
        peer = explainer(rd, name)
        with rd.classifier.count_passes(1) as counter:
            peer.explain(image[:1])
        assert counter.per_image.tolist() == [passes + 1]  # and one that finds the class


def test_maps_are_read_in_every_way(tiny):
    rd, image = tiny
    peer = explainer(rd, "captum IntegratedGradients")
    method = peers.Method(peer.name, peer, "gradient")
    read = {reading.name: reading for reading in peer_methods.readings(method, rd, tiny_problem("ReluNet").build())}
    assert list(read) == [" (pixels, absolute)", " (mapped, absolute)", " (pixels, positive)", " (mapped, positive)"]
    made = peer.explain(image)
    assert torch.equal(read[" (pixels, absolute)"].of(made).relevance, made.relevance)
    assert torch.equal(read[" (pixels, positive)"].of(made).relevance, made.signed.clamp(min=0))
    mapped = read[" (mapped, positive)"]
    assert mapped.of(made).relevance.shape[1] == mapped.rd.transform.layout((32, 32)).k != made.relevance.shape[1]


def test_a_package_that_fails_or_is_missing_is_left_out_with_one_line(tiny, monkeypatch, caplog):
    rd, image = tiny
    broken = peer_packages.Peer("zennit", "gradient", lambda case: 1 / 0)
    missing = PEERS["captum Saliency"]._replace(package="absent")
    monkeypatch.setattr(peer_packages, "MODULES", {"zennit": "math", "absent": "amortex.absent"})
    monkeypatch.setattr(peer_packages, "version", lambda package: "1")
    catalogue = {"broken": broken, "missing": missing, "missing too": missing}
    monkeypatch.setattr(peer_packages, "PEERS", catalogue)
    monkeypatch.setattr(peer_methods, "PEERS", catalogue)
    with caplog.at_level(logging.WARNING):
        (method,) = peer_methods.peer_methods(rd, [])
        with pytest.raises(peers.InputError, match="broken is left out: ZeroDivisionError"):
            method.explainer.explain(image)
    (line,) = caplog.messages
    assert "absent is left out" in line
    assert "pip install 'amortex[peers]'" in line


def test_from_end_to_end_and_on_from_where_it_stopped(tmp_path, capsys, monkeypatch):
    folder = photographs(tmp_path / "in", "a.png", "b.png")
    options = ["peers", str(folder), "--images", "2", "--size", "64", "--samples", "2", "--insertion-steps", "2"]
    options += ["--methods", "magnitude", "random", "one pass", "--out", str(tmp_path / "out")]
    assert main(options) == 0
    text = capsys.readouterr().out
    with open(tmp_path / "out/peers.csv", newline="") as file:
        rows = {(row["row"], row["column"]): row for row in csv.DictReader(file)}
    assert {row for row, _ in rows} == {"magnitude", "random pixels", "amortex, one pass"}
    assert rows["magnitude", "passes"]["mean"] == "1.0"
    assert float(rows["magnitude", "seconds"]["mean"]) > 0
    assert [column for row, column in rows if row == "magnitude" and column.startswith("l2@")] == [
        "l2@0.02", "l2@0.05", "l2@0.1", "l2@0.2", "l2@0.3", "l2@0.5",
    ]  # fmt: skip
    assert float(rows["magnitude", "l2@0.5"]["mean"]) < float(rows["random pixels", "l2@0.5"]["mean"])
    assert (tmp_path / "out/peers.png").stat().st_size > 0
    monkeypatch.setattr(peers.TimedBatch, "explain", lambda self, method: pytest.fail(f"{method} was repeated"))
    assert main(options) == 0
    assert capsys.readouterr().out == text
    assert main([*options[:-4], "--methods", "no such method"]) == 2
    assert "no method is left" in capsys.readouterr().err
