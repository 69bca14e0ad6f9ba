"""Hostile files and requests: an answer of one line each, nothing in the log, nothing written, and the server goes on.

The normal run takes some dozens; all of them: ``python -m pytest tests/page/test_fuzz.py -m slow``.
"""

import io
import itertools
import json
import logging
import random

import numpy as np
import pytest
from scipy.io import wavfile

from helpers.mutations import VALUES, Guard, damage, images, with_other_values, with_right_sums
from helpers.page import SIGNAL, client, encoded_mask, half_mask

guard = Guard()
METHODS = ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "POST")
TYPES = ("application/json", "application/octet-stream", "text/plain", "multipart/form-data; boundary=x", "", "\x7f")
PLACES = (
    "..",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "etc/passwd",
    "%5c..%5c",
    "main.js",
    "x" * 3000,
    "%ff%fe",
    "~root",
)
FOLDERS = ("/", "/static/", "/data/signals/", "/api/upload/", "/api/draw/", "/api/explain/", "/api/curve/", "/health/")
DRAWN = {"signal": SIGNAL, "mask": encoded_mask(half_mask()), "domain": "pixels", "draw": 0, "certify": False}
ASKED = {"signal": SIGNAL, "method": "wam", "target": "honey bee", "rate": 0.1, "lambda_k": 5.0, "steps": 1,
         "obfuscation": "zero"}  # fmt: skip


def volume() -> bytes:
    np.savez_compressed(buffer := io.BytesIO(), np.zeros((16, 16, 16), np.float32))
    return buffer.getvalue()


def sound() -> bytes:
    wavfile.write(buffer := io.BytesIO(), 16_000, (np.arange(800) % 40 * 500).astype(np.int16))
    return buffer.getvalue()


def upload(rng: random.Random, files: dict[str, list[bytes]]):
    modality = rng.choice(list(files))
    content = damage(rng.choice(files[modality]), rng, [*itertools.chain(*files.values())])
    if content.startswith(b"\x89PNG") and rng.random() < 0.7:
        content = with_right_sums(content)
    return "POST", f"/api/upload/{modality}", content, "application/octet-stream"


def request(rng: random.Random, files: dict[str, list[bytes]]):
    """A request with another value in it, as JSON that may be damaged, too deep, or too large."""
    path, table = rng.choice((("/api/draw/image", DRAWN), ("/api/explain/image", ASKED), ("/api/explain/volume", ASKED),
                              ("/api/curve/image", {"result": "x"})))  # fmt: skip
    content = json.dumps(with_other_values(table, rng)).encode()
    kind = rng.randrange(6)
    if kind == 0:
        content = damage(content, rng, [content])
    elif kind == 1:
        content = b"[" * rng.choice((10, 10_000, 900_000))
    elif kind == 2:
        content = json.dumps({**table, "target": "x" * rng.choice((201, 900_000))}).encode()
    elif kind == 3:
        content = json.dumps(rng.choice(VALUES)).encode()
    return "POST", path, content, "application/json"


def place(rng: random.Random, files: dict[str, list[bytes]]):
    path = rng.choice(FOLDERS) + "/".join(rng.choices(PLACES, k=rng.randrange(1, 4)))
    return rng.choice(METHODS), path, rng.randbytes(rng.choice((0, 50))), rng.choice(TYPES)


@pytest.mark.parametrize(("seed", "count"), [(0, 60), pytest.param(1, 1000, marks=pytest.mark.slow)])
def test_hostile_files_and_requests(seed, count, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    rng, files = random.Random(seed), {"image": images(), "volume": [volume()], "audio": [sound()]}
    statuses = []
    with client() as page, caplog.at_level(logging.ERROR):
        for modality, (good, *_) in files.items():  # loads what is loaded once
            path = f"/api/upload/{modality}"
            answer = page.post(path, content=good, headers={"content-type": "application/octet-stream"})
            assert answer.status_code == 200, answer.text
        page.post("/api/explain/volume", json={"signal": "digit3", "method": "wam"})
        with guard.within(tmp_path):
            for _ in range(count):
                what = method, path, content, kind = rng.choice((upload, upload, request, request, place))(rng, files)
                answer = page.request(method, path, content=content, headers={"content-type": kind})
                statuses.append(answer.status_code)
                assert answer.status_code < 500, what
                assert not any(word in answer.text for word in ("Traceback", "something went wrong", "root:")), what
                if answer.status_code >= 400 and method != "HEAD":
                    assert len(answer.text.splitlines()) <= 1, what
        assert page.post("/api/draw/image", json=DRAWN).status_code == 200
        assert page.get("/health").json() == {"status": "ok", "waiting": 0}
    assert list(tmp_path.iterdir()) == []
    assert caplog.records == []
    assert 0.1 < statuses.count(200) / count < 0.6  # the damage is neither too little nor too much
