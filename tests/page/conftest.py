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
