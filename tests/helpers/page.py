"""The page on a small network."""

import base64
import json
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from amortex.page.server import Server
from amortex.page.service import Service
from amortex.page.site import Site
from amortex.page.worker import Worker
from helpers.library import NAMES, load

HOST = "testserver"  # of starlette's client
SIGNAL = "chelsea"
BYTES = {"content-type": "application/octet-stream"}


def site() -> Site:
    return Site(load("cartoonx", class_names=NAMES), device="cpu")


def explained(service: Service, **request: Any) -> list[dict[str, Any]]:
    """The events of an explanation."""
    events: list[dict[str, Any]] = []
    service.explain({"signal": SIGNAL, **request}, events.append, lambda: None)
    return events


def client(most_waiting: int = 32) -> TestClient:
    return TestClient(Server(site(), Worker(most_waiting), [HOST]).app, raise_server_exceptions=False)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def encoded_mask(mask: np.ndarray) -> str:
    """A mask of zeros and ones as the page sends it."""
    return base64.b64encode((255 * mask).astype(np.uint8).tobytes()).decode()


def half_mask(size: int = 32) -> np.ndarray:
    mask = np.zeros((size, size))
    mask[: size // 2] = 1
    return mask


def still_answers(page) -> None:
    """Check that a stroke is answered, whatever was sent before."""
    answer = page.post("/api/draw/image", json={"signal": SIGNAL, "mask": encoded_mask(half_mask())})
    assert answer.status_code == 200, answer.text
