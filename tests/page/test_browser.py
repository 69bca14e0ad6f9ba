"""The page from end to end, in a browser without a window: what it shows is what the library says."""

import base64
import re

import numpy as np
import pytest
import torch

from amortex.io.bundled import bundled_folder
from amortex.rate_distortion.certificate import certify
from helpers.library import NAMES, load
from helpers.page import SIGNAL

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
PHOTOGRAPH = bundled_folder() / f"{SIGNAL}.png"
WAIT = 60_000  # milliseconds
SPACE = "\u00a0"  # before a percent sign, which stays on its line


def run(page, name: str):
    """Press the main button of a widget, and wait until it is done; the widget."""
    widget = page.locator(f"#{name} .widget")
    widget.scroll_into_view_if_needed()
    finished(page, name)  # it runs once when it comes into view
    widget.locator("button.main").click()
    finished(page, name)
    return widget


def finished(page, name: str) -> None:
    page.wait_for_timeout(300)
    page.wait_for_function(
        "name => !document.querySelector(`#${name} [aria-busy]`) && "
        "![...document.querySelectorAll(`#${name} button.main`)].some(button => button.disabled)",
        arg=name, timeout=WAIT,
    )  # fmt: skip


def fact(widget, name: str) -> str:
    return widget.locator(f"[data-fact={name}]").inner_text()


def interval(row: dict, name: str, low: str, high: str) -> str:
    return f"{row[name]:.4f} [{row[low]:.4f}, {row[high]:.4f}]"


def test_a_drawn_mask_has_the_certificate_of_the_library(page):
    canvas = page.locator("#draw canvas")
    canvas.focus()
    page.get_by_role("button", name="Clear").first.click()
    canvas.focus()
    for _ in range(6):
        page.keyboard.press("Space")
        page.keyboard.press("Shift+ArrowRight")
    finished(page, "draw")
    with page.expect_request("**/api/draw/image") as sent:
        widget = run(page, "draw")
    drawn = np.frombuffer(base64.b64decode(sent.value.post_data_json["mask"]), np.uint8)
    encoded = load("wam").explain(PHOTOGRAPH).encoded
    rd = load("pixel_rde", class_names=NAMES).explainer.rate_distortion
    mask = torch.from_numpy(drawn / np.float32(255))[None]
    row = certify(rd, rd.encode(encoded.image), mask, 64).row(0)
    assert 0 < row["rate"] < 0.5
    assert fact(widget, "distortion") == interval(row, "distortion", "ci_low", "ci_high")
    assert fact(widget, "rate") == f"{row['rate']:.2%}".replace("%", f"{SPACE}%")
    assert widget.locator(".bars li").count() == 5


def test_an_explanation_has_the_certificate_of_the_library(page):
    page.locator("#explain .widget select").nth(1).select_option("wam_sg")
    widget = run(page, "explain")
    result = load("wam_sg", class_names=NAMES, rate=0.05).explain(PHOTOGRAPH)
    result.certificate()
    row = result.row(0)
    assert fact(widget, "distortion") == interval(row, "distortion", "ci_low", "ci_high")
    assert fact(widget, "class").startswith(row["class_name"])
    assert (
        widget.locator("> .status")
        .inner_text()
        .endswith("explained by WAM, averaged over noise, and its curve is measured.")
    )
    slider = widget.get_by_role("slider", name="Along the curve")
    before = widget.locator("figure img").nth(1).get_attribute("src")
    slider.focus()
    page.keyboard.press("End")
    assert f"Keeping 100.00{SPACE}%: D = 0.0000, class retained" in widget.inner_text()
    assert widget.locator("figure img").nth(1).get_attribute("src") != before
    assert "What the 100.00" in widget.locator("figure").nth(1).inner_text()
    page.keyboard.press("Home")
    assert f"Keeping 0.00{SPACE}%" in widget.inner_text()


def test_an_optimisation_can_be_stopped(page):
    widget = page.locator("#explain .widget")
    widget.scroll_into_view_if_needed()
    finished(page, "explain")
    widget.locator("select").nth(1).select_option("cartoonx")
    widget.get_by_label("Steps").select_option("800")
    widget.get_by_role("button", name="Explain").click()
    status = widget.locator("> .status")
    playwright.expect(status).to_contain_text("of 800, keeping", timeout=WAIT)
    widget.get_by_role("button", name="Stop").click()
    playwright.expect(status).to_contain_text("of 800 steps: what is shown is not measured")
    assert page.evaluate("fetch('health').then(answer => answer.json())")["status"] == "ok"


def test_a_file_may_be_given_and_what_is_none_is_refused_in_a_line(page, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    chooser = page.locator("#draw input[type=file]")
    status = page.locator("#draw .widget > .status")
    with page.expect_response("**/api/upload/image") as refusal:
        chooser.set_input_files(tmp_path / "text.png")
    assert refusal.value.status == 422
    playwright.expect(status).to_contain_text("not a readable image")
    chooser.set_input_files(PHOTOGRAPH)
    page.wait_for_function("() => document.querySelector('#draw select').value.startsWith('given-')")
    finished(page, "draw")


def test_two_methods_are_compared_and_places_are_linked(page):
    widget = run(page, "compare")
    numbers = widget.locator(".side").first.inner_text()
    assert "J = D + λR" in numbers
    assert "kept here" not in numbers
    widget.locator(".side canvas").first.hover(position={"x": 60, "y": 60})
    for side in widget.locator(".side").all():
        assert "kept here" in side.inner_text()
    verdict = widget.locator("> .status").inner_text()
    assert "WAM, averaged over noise" in verdict
    assert "has the lower J" in verdict


def test_the_haar_transform_of_an_even_disc_has_fewer_numbers(page):
    widget = page.locator("#haar .widget")
    status = widget.locator("> .status")
    widget.get_by_role("button", name="Clear").click()
    playwright.expect(status).to_contain_text("Left: 0 numbers are not zero. Right: 0.")
    canvas = widget.locator("canvas").first
    widget.get_by_role("slider", name="Brush").focus()
    page.keyboard.press("End")
    canvas.focus()
    page.keyboard.press("Space")
    playwright.expect(status).not_to_contain_text("Left: 0 ")
    counts = [int(word.replace(",", "")) for word in status.inner_text().split() if word.replace(",", "").isdigit()]
    assert 0 < counts[1] < counts[0]


def test_signals_of_all_kinds_are_drawn(page):
    widget = page.locator("#fourier .widget")
    for name in ("delta", "nino", "flat", "bursts"):
        widget.locator("select").select_option(name)
        page.wait_for_timeout(200)
    time = widget.locator("canvas").first
    before = time.evaluate("canvas => canvas.toDataURL()")
    time.focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(200)
    assert time.evaluate("canvas => canvas.toDataURL()") != before


def test_sounds_are_played_and_volumes_are_cut(page):
    widget = run(page, "listen")
    assert widget.locator("audio").count() == 3
    page.wait_for_function("() => [...document.querySelectorAll('#listen audio')].every(audio => audio.duration > 0.1)")
    widget = run(page, "slices")
    kept = widget.locator("canvas").nth(1)
    before = kept.evaluate("canvas => canvas.toDataURL()")
    widget.get_by_role("slider", name="Slice").fill("5")
    assert kept.evaluate("canvas => canvas.toDataURL()") != before


def test_nothing_is_wider_than_the_window_and_no_picture_is_broken(page):
    playwright.expect(page.locator("#explain img").first).to_have_attribute("src", re.compile("^blob:"))
    page.wait_for_function("() => [...document.images].every(image => image.complete && image.naturalWidth)")
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violations(page, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for name in ("explain", "compare"):
        page.locator(f"#{name}").scroll_into_view_if_needed()
        finished(page, name)
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
    results = axe.Axe().run(page, options=options)
    assert results.response["violations"] == []


def test_wavelets_and_pixels_are_optimised_side_by_side(page):
    widget = run(page, "compare")
    for side in widget.locator(".side").all():
        side.locator("select").first.select_option("cartoonx")
        side.get_by_label("Steps").select_option("60")
    widget.get_by_role("button", name="CartoonX and Pixel RDE").click()
    finished(page, "compare")
    result = load("pixel_rde", class_names=NAMES, steps=60).explain(PHOTOGRAPH)
    result.certificate()
    side = widget.locator(".side").nth(1)
    assert interval(result.row(0), "distortion", "ci_low", "ci_high") in side.inner_text()
    canvas = side.locator("canvas").first
    box = canvas.bounding_box()
    canvas.hover(position={"x": 0.4 * box["width"], "y": 0.3 * box["height"]})
    place = int(0.3 * 32) * 32 + int(0.4 * 32)
    assert f"{100 * result.mask[0, place]:.0f}{SPACE}%" == side.locator("dd").last.inner_text()
