"""A browser without a window, and the page of a small network that it shows."""

import os
import shutil

import pytest

from amortex.page.serving import serve_in_thread
from helpers.page import site


@pytest.fixture(scope="module")
def address():
    served, server = serve_in_thread(site())
    yield served
    server.should_exit = True


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is missing: apt-get install chromium, or give its path as $CHROMIUM")
    with playwright.sync_playwright() as run:
        yield run.chromium.launch(executable_path=chromium, args=["--no-sandbox"])


@pytest.fixture(params=[1600, 400])
def page(browser, address, request):
    """The page, at two widths; no request may leave the machine, and nothing may be complained of."""
    context = browser.new_context(viewport={"width": request.param, "height": 900})
    opened = context.new_page()
    requests, complaints = [], []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("console", lambda message: complaints.append(message.text) if complained(message) else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(address)
    opened.wait_for_selector("html[data-ready]")
    yield opened
    context.close()
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
    assert complaints == []


def complained(message) -> bool:
    """Whether a message is a complaint: a refused upload is none, though the browser notes it."""
    return message.type == "error" and "status of 422" not in message.text
