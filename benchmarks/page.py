"""Speed of the page: a stroke and a move of the lambda slider over the bare work, and frames while somebody draws.

    python -m benchmarks page
    python -m benchmarks page --parts stroke slider --repeats 15

For docs/results.md, Speed. A stroke is timed where a browser would be, from the request to the parsed answer: 8 draws
at the size of the classifier, over 8 bare passes of it in one batch. A move of the slider explains by the amortized
explainer, and is timed over the same explanation with its certificate by `load_explainer`. Each pair is timed in turn,
and the ratio is the median of the ratios. Both should be at most 1.5. Frames are counted in Chromium without a window
(which shows at most 60 in a second) while a mouse draws in the box of the Haar transform; the time of the page's own
scripts in a frame tells what is left of its 16.7 ms. That part needs playwright and chromium, and says so.
"""

import argparse
import base64
import http.client
import itertools
import json
import math
import os
import shutil
import statistics
import time
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import torch

from amortex.core.errors import InputError
from amortex.core.process import prepare
from amortex.page.drawing import STROKE_SAMPLES
from amortex.page.service import Service
from amortex.page.serving import serve_in_thread
from amortex.page.site import Site
from benchmarks.timing import Comparison, forward, images, machine, print_header, print_row, side_by_side

AIM = "aim of both: at most 1.5"
SIGNAL = "chelsea"
LAMBDAS = (2.0, 5.0, 10.0)
SECONDS = 5.0  # of drawing
DISC = 0.3  # radius of a drawn mask, as a share of the image's side
WATCH = """
window.frames = []; window.scripts = [];
const plain = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (work) => plain((time) => {
  const start = performance.now(); work(time); window.scripts.push(performance.now() - start);
});
const count = (time) => { window.frames.push(time); plain(count); };
plain(count);
"""


class Client:
    """Asks a page, over one connection that stays open."""

    def __init__(self, address: str, tab: str = "0") -> None:
        self.tab, self.connection = tab, http.client.HTTPConnection(urlsplit(address).netloc, timeout=600)

    def ask(self, path: str, body: bytes | dict[str, Any], kind: str = "application/json") -> tuple[int, Any, float]:
        """Status, parsed answer (of a stream the last event), and the seconds after which to ask again."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request("POST", path, content, {"content-type": kind, "x-tab": self.tab})
        answer = self.connection.getresponse()
        lines = answer.read().splitlines()
        return answer.status, json.loads(lines[-1]) if lines else None, float(answer.headers.get("retry-after") or 0)


def main(options: argparse.Namespace) -> None:
    prepare()
    site = Site(device="cpu")
    service = site.service("image")
    address, server = serve_in_thread(site)
    print(f"{machine()}, load {os.getloadavg()[0]:.1f}\nmedian of {options.repeats} alternating repeats; {AIM}\n")
    try:
        if options.parts != ["frames"]:
            print_header()
        if "stroke" in options.parts:
            for domain in ("pixels", "wavelets"):
                row = stroke(Client(address), service, domain, options.repeats)
                print_row(f"a stroke over {domain}, over {STROKE_SAMPLES} passes", row)
        if "slider" in options.parts:
            print_row("a new lambda, over the library", slider(Client(address), site, options.repeats))
        if "frames" in options.parts:
            print(f"\n{frames(address)}")
    finally:
        server.should_exit = True


def disc(size: int) -> str:
    """A drawn mask, as the page sends it."""
    rows, columns = torch.meshgrid(*2 * [torch.arange(size) + 0.5 - size / 2], indexing="ij")
    mask = 255 * (torch.hypot(rows, columns) < DISC * size).to(torch.uint8)
    return base64.b64encode(mask.numpy().tobytes()).decode()


def stroke(client: Client, service: Service, domain: str, repeats: int) -> Comparison:
    """A stroke, over the classifier's passes of its draws in one batch."""
    size = service.classifier.input_size[-1]
    request = {"signal": SIGNAL, "domain": domain, "mask": disc(size)}
    inputs = images(STROKE_SAMPLES, size)
    return side_by_side(lambda: answered(client, "/api/draw/image", request),
                        lambda: forward(service.classifier, inputs), repeats)  # fmt: skip


def slider(client: Client, site: Site, repeats: int) -> Comparison:
    """An explanation for another sparsity weight, over that of the library with its certificate."""
    service = site.service("image")
    weights, same_weights = itertools.cycle(LAMBDAS), itertools.cycle(LAMBDAS)
    signal = service.signals.tensor(SIGNAL)

    def ask() -> None:
        request = {"signal": SIGNAL, "method": "amortized", "lambda_k": next(weights)}
        answered(client, "/api/explain/image", request)

    def explain() -> None:
        service.explainer("amortized", lambda_k=next(same_weights)).explain(signal).certificate()

    return side_by_side(ask, explain, repeats)


def answered(client: Client, path: str, request: dict[str, Any]) -> None:
    """Ask; raises InputError where there is no answer."""
    status, answer, _ = client.ask(path, request)
    if status != http.HTTPStatus.OK or answer["event"] == "error":
        raise InputError(f"{path} answered {status}: {answer.get('error')}")


def frames(address: str) -> str:
    """What a mouse that draws in the box of the Haar transform does to the frames of a browser, in a line."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if find_spec("playwright") is None or chromium is None:
        return "frames: not measured: playwright or chromium is missing (pip install playwright; $CHROMIUM is its path)"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as run:
        page: Any = run.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
        page.add_init_script(WATCH)
        page.goto(f"{address}#haar")
        page.wait_for_selector("html[data-ready]")
        canvas = page.locator("#haar canvas").first
        canvas.hover()  # waits until the page has scrolled there
        box = canvas.bounding_box()
        centre = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.down()
        page.evaluate("frames.length = scripts.length = 0")
        start = time.perf_counter()
        while (passed := time.perf_counter() - start) < SECONDS:
            angle, radius = 4 * passed, 0.4 * box["width"] * math.sin(passed)
            page.mouse.move(centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle))
        times, scripts = page.evaluate("[frames, scripts]")
        page.mouse.up()
    gaps = [after - before for before, after in itertools.pairwise(times)]
    rate = 1e3 * len(gaps) / (times[-1] - times[0])
    return (
        f"drawing for {SECONDS:g} s: {rate:.1f} frames a second (aim: 60), {spread(gaps)} between two of them, "
        f"{spread(scripts)} of scripts for a transform"
    )


def spread(values: list[float]) -> str:
    """Median and 95th percentile of milliseconds."""
    return f"{statistics.median(values):.1f} ms (95 % below {statistics.quantiles(values, n=20)[-1]:.1f})"
