"""The numbers of the page are the library's own."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from amortex.core.errors import InputError
from amortex.io.bundled import bundled_folder
from amortex.metrics.functional.curves import rate_distortion_curve
from amortex.page import service as service_module
from amortex.page.drawing import draw
from amortex.page.service import CURVE_SAMPLES
from amortex.page.signals import MOST_UPLOADS, Recent
from amortex.rate_distortion.certificate import Certificate, certify
from helpers.library import NAMES, load
from helpers.page import SIGNAL, encoded_mask, explained, half_mask, site

CERTIFIED = [name for name in Certificate._fields if name != "caveats"]  # numbers
PHOTOGRAPH = bundled_folder() / f"{SIGNAL}.png"


def on_step():
    """Between the steps of a job nothing happens."""


@pytest.fixture(scope="module")
def images():
    return site().service("image")


@pytest.mark.parametrize(
    ("method", "options"),
    [("wam_sg", {"rate": 0.1}), ("cartoonx", {"steps": 3, "lambda_k": 2.0}), ("pixel_rde", {"steps": 2}),
     ("magnitude", {"rate": 0.2, "obfuscation": "zero"})],
)  # fmt: skip
def test_an_explanation_is_that_of_the_library(images, method, options):
    *progress, event = explained(images, method=method, **options)
    expected = load(method, class_names=NAMES, **options).explain(PHOTOGRAPH)
    expected.certificate()
    certificate = {name: expected.row(0)[name] for name in CERTIFIED}
    assert {name: event["row"][name] for name in CERTIFIED} == pytest.approx(certificate)
    assert event["row"]["caveats"] == expected.row(0)["caveats"]
    mask = np.frombuffer(base64.b64decode(event["mask"]["values"]), np.uint8)
    np.testing.assert_array_equal(mask, (expected.mask[0] * 255).round().to(torch.uint8))
    assert event["summary"].startswith(f"{expected.row(0)['class_name']} ")
    steps = options.get("steps", 1)
    assert [line["step"] for line in progress] == (list(range(1, steps + 1)) if steps > 1 else [])


def test_a_target_may_be_named(images):
    (event,) = explained(images, method="wam", target="honey bee")
    assert event["row"]["target"] == 1
    with pytest.raises(InputError, match="no class of"):
        explained(images, method="wam", target="xylophone")


def test_passes_of_others_are_not_counted(images):
    def count(on_step) -> int:
        events = []
        images.explain({"signal": SIGNAL, "method": "cartoonx", "steps": 2}, events.append, on_step)
        return events[-1]["passes"]

    alone = count(lambda: None)
    assert alone > 0
    assert count(lambda: explained(images, method="wam_sg")) == alone


def test_a_curve_is_that_of_the_metric(images, monkeypatch):
    monkeypatch.setattr(service_module, "CURVE_RATES", (0.0, 0.1, 1.0))
    (event,) = explained(images, method="wam")
    points = []
    images.curve({"result": event["result"]}, points.append, lambda: None)
    explanation = load("wam").explain(PHOTOGRAPH)
    expected = rate_distortion_curve(explanation.rate_distortion, explanation, (0.0, 0.1, 1.0), CURVE_SAMPLES)
    assert points.pop() == {"event": "end"}
    assert [point["distortion"] for point in points] == pytest.approx(expected["distortion"][0].mean(1).tolist())
    assert [point["retained"] for point in points] == (expected["retained"][0] == 1).tolist()
    with pytest.raises(InputError, match="explain again"):
        images.curve({"result": "another"}, points.append, lambda: None)


@pytest.mark.parametrize(("certify_it", "draws"), [(False, 8), (True, 64)])
def test_a_drawn_mask_over_pixels_has_the_certificate_of_the_library(images, certify_it, draws):
    drawn = half_mask()
    answer = draw(images, {"signal": SIGNAL, "mask": encoded_mask(drawn), "certify": certify_it}, on_step)
    explanation = load("pixel_rde", steps=1).explain(PHOTOGRAPH)
    mask = torch.from_numpy(drawn).float().reshape(1, -1)
    expected = certify(explanation.rate_distortion, explanation.encoded, mask, draws).row(0)
    expected["caveats"] = expected["caveats"] if certify_it else ""
    assert {name: answer[name] for name in expected} == pytest.approx(expected)
    assert answer["rate"] == 0.5
    assert answer["classes"][0]["explained"]
    probabilities = [entry["now"] for entry in answer["classes"]]
    assert sum(probabilities) == pytest.approx(1)  # of all five classes
    assert probabilities[1:] == sorted(probabilities[1:], reverse=True)


def test_strokes_between_the_chunks_of_a_certificate_change_neither(images):
    stroke = {"signal": SIGNAL, "mask": encoded_mask(half_mask())}
    request = {**stroke, "certify": True}
    between = []
    interrupted = draw(images, request, lambda: between.append(draw(images, stroke, on_step)))
    assert interrupted == draw(images, request, on_step)
    assert between == 4 * [draw(images, stroke, on_step)]  # 64 draws, 16 at once


def test_what_a_mask_keeps_is_seen_and_other_draws_differ_elsewhere(images):
    request = {"signal": SIGNAL, "mask": encoded_mask(half_mask())}

    def shown(**more) -> np.ndarray:
        picture = draw(images, {**request, **more}, on_step)["picture"].partition(",")[2]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))))

    first, second = shown(), shown(draw=1)
    original = (images.preview(SIGNAL) * 255).round().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(first[:16], original[:16])
    np.testing.assert_array_equal(second[:16], original[:16])
    assert (first[16:] != second[16:]).mean() > 0.5


def test_a_drawn_mask_over_wavelets_keeps_entries_by_their_supports(images):
    def measured(mask: np.ndarray) -> dict:
        return draw(images, {"signal": SIGNAL, "domain": "wavelets", "mask": encoded_mask(mask)}, on_step)

    full, empty, half = (measured(mask) for mask in (np.ones((32, 32)), np.zeros((32, 32)), half_mask()))
    assert (full["rate"], full["distortion"]) == (1, pytest.approx(0, abs=1e-10))
    assert empty["rate"] == 0
    assert half["rate"] == pytest.approx(0.5, abs=0.03)


def test_memory_is_bounded(images):
    recent: Recent[int] = Recent(2)
    for number in range(3):
        recent.put(number, number)
        recent.get(0)
    assert [recent.get(number) for number in range(3)] == [0, None, 2]
    keys = [images.signals.give(torch.full((1, 3, 32, 32), number / 100)) for number in range(MOST_UPLOADS + 1)]
    with pytest.raises(InputError, match="no such image here any more"):
        images.signals.tensor(keys[0])
    assert images.signals.tensor(keys[1])[0, 0, 0, 0] == pytest.approx(0.01)


def test_sounds_and_volumes_add_up():
    sounds = site().service("audio")
    events = []
    sounds.explain({"signal": "burp", "method": "magnitude", "rate": 0.3}, events.append, lambda: None)
    parts = events[-1]["parts"]
    from scipy.io import wavfile

    original, kept, dropped = (
        wavfile.read(io.BytesIO(base64.b64decode(parts[name]["sound"].partition(",")[2])))[1]
        for name in ("original", "kept", "dropped")
    )
    np.testing.assert_allclose(kept + dropped, original, atol=1e-6)
    assert np.abs(kept).max() > 0.1
    volumes = site().service("volume")
    volumes.explain({"signal": "digit3", "method": "magnitude", "rate": 1}, events.append, lambda: None)
    parts = events[-1]["parts"]
    assert events[-1]["shape"] == [16, 16, 16]
    assert parts["kept"] == parts["volume"]
