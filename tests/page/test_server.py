"""The server answers whatever it is sent, in one line and without a traceback, and serves its own files alone."""

import io
import json
import threading

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile
from starlette.testclient import TestClient

from amortex.page.incoming import MOST_JSON, MOST_UPLOAD
from amortex.page.server import MOST_UPLOADING, MOST_UPLOADING_OF_ADDRESS, Server
from amortex.page.site import STATIC
from amortex.page.worker import Worker
from helpers.page import HOST, SIGNAL, client, encoded_mask, half_mask, lines, site

BYTES = {"content-type": "application/octet-stream"}
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def page():
    with client() as opened:
        yield opened


def still_answers(page) -> None:
    answer = page.post("/api/draw/image", json={"signal": SIGNAL, "mask": encoded_mask(half_mask())})
    assert answer.status_code == 200, answer.text


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def silence() -> bytes:
    wavfile.write(buffer := io.BytesIO(), 16_000, np.zeros(800, np.int16))
    return buffer.getvalue()


def test_every_answer_has_the_headers(page):
    for path in ("/", "/static/main.js", "/data/site.json", "/health", "/nowhere"):
        headers = page.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; ")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


def test_the_pages_own_files_are_served_with_their_types(page):
    for path, kind in (("/", "text/html"), ("/static/style.css", "text/css"), ("/static/main.js", "text/javascript"),
                       ("/data/nino.json", "application/json"),
                       (f"/data/signals/{SIGNAL}.png", "image/png")):  # fmt: skip
        answer = page.get(path)
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)
    page_text = (STATIC / "index.html").read_text(encoding="utf-8")
    assert "style=" not in page_text
    assert "<script>" not in page_text


@pytest.mark.parametrize(
    "path",
    ["/static/../server.py", "/static/..%2fserver.py", "/static/%2e%2e/server.py", "/static//etc/passwd",
     "/static/..%5cserver.py", "/static/main.js%00.css", "/data/signals/..%2f..%2fserver.py.png",
     "/data/signals/%2fetc%2fpasswd.png", "/data/signals/README.png", "/.git/config"],
)  # fmt: skip
def test_no_path_leads_out(page, path):
    answer = page.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "not a readable image"), (b"no image", "not a readable image"), (png(64, 64)[:45], "not a readable image"),
     (png(9000, 9000), "more than 50,000,000 pixels"), (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a readable image"),
     (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a readable image"), (b"GIF89a" + bytes(20), "not a readable")],
)  # fmt: skip
def test_what_is_no_photograph_is_refused_in_one_line(page, content, told):
    answer = page.post("/api/upload/image", content=content, headers=BYTES)
    error = answer.json()["error"]
    assert answer.status_code == 422
    assert told in error
    assert "\n" not in error
    assert "object at 0x" not in error
    still_answers(page)


def test_a_photograph_is_read_and_explained_and_has_a_preview(page):
    buffer = io.BytesIO()
    Image.effect_noise((50, 40), 60).save(buffer, "JPEG")
    key = page.post("/api/upload/image", content=buffer.getvalue(), headers=BYTES).json()["key"]
    events = lines(page.post("/api/explain/image", json={"signal": key, "method": "wam"}).text)
    assert [event["event"] for event in events] == ["result"]
    assert Image.open(io.BytesIO(page.get(f"/data/signals/{key}.png").content)).size == (32, 32)


def test_volumes_are_not_unpickled(page):
    buffer = io.BytesIO()
    np.save(buffer, np.array([print], dtype=object), allow_pickle=True)
    answer = page.post("/api/upload/volume", content=buffer.getvalue(), headers=BYTES)
    assert answer.status_code == 422
    still_answers(page)


@pytest.mark.parametrize(
    ("path", "content", "headers", "status"),
    [
        ("/api/draw/image", b"{", JSON, 422),
        ("/api/draw/image", b"[" * 100_000, JSON, 422),
        ("/api/draw/image", b"[]", JSON, 422),
        ("/api/draw/image", b"\xff\xfe", JSON, 422),
        ("/api/draw/image", b"{}", {"content-type": "text/plain"}, 415),
        ("/api/draw/image", b"{}", {"content-type": "application/x-www-form-urlencoded"}, 415),
        ("/api/draw/image", b"{}", BYTES, 415),
        ("/api/draw/audio", b"{}", JSON, 404),
        ("/api/draw/nothing", b"{}", JSON, 404),
        ("/api/explain/image", b" " * (MOST_JSON + 1), JSON, 413),
        ("/api/upload/image", b"x", {**BYTES, "content-length": str(MOST_UPLOAD + 1)}, 413),
        ("/api/upload/image", b"x", {"content-type": "multipart/form-data; boundary=x"}, 415),
        ("/api/upload/..%2fimage", b"x", BYTES, 404),
    ],
)
def test_bodies_that_are_refused(page, path, content, headers, status):
    answer = page.post(path, content=content, headers=headers)
    assert answer.status_code == status
    assert "Traceback" not in answer.text
    still_answers(page)


def test_a_body_without_a_length_is_read_no_further_than_allowed(page):
    sent = 0

    def chunks():
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield bytes(MOST_JSON // 4)

    assert page.post("/api/draw/image", content=chunks(), headers=JSON).status_code == 413


@pytest.mark.parametrize(
    "change",
    [{"mask": "!"}, {"mask": 5}, {"mask": ""}, {"mask": encoded_mask(half_mask(31))}, {"signal": "../../etc/passwd"},
     {"signal": None}, {"signal": "x" * 1000}, {"signal": ["chelsea"]}, {"domain": "fourier"}, {"domain": {}},
     {"draw": -1}, {"draw": 0.5}, {"draw": 1e300}, {"draw": "1"}, {"draw": True}],
)  # fmt: skip
def test_values_that_are_refused_when_drawing(page, change):
    answer = page.post("/api/draw/image", json={"signal": SIGNAL, "mask": encoded_mask(half_mask()), **change})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]
    still_answers(page)


@pytest.mark.parametrize(
    "change",
    [{"method": "lime"}, {"method": "__class__"}, {"method": None}, {"rate": 0}, {"rate": 2}, {"rate": "0.1"},
     {"method": "cartoonx", "steps": 10**9}, {"method": "cartoonx", "lambda_k": -1}, {"target": "xylophone"},
     {"target": {}}, {"target": 3}, {"obfuscation": "blur"}, {"signal": "crow"}],
)  # fmt: skip
def test_values_that_are_refused_when_explaining(page, change):
    answer = page.post("/api/explain/image", json={"signal": SIGNAL, "method": "wam", **change})
    (event,) = lines(answer.text)
    assert event["event"] == "error"
    assert "something went wrong" not in event["error"]
    still_answers(page)


def test_numbers_that_json_has_no_words_for_are_refused(page):
    for value in ("NaN", "Infinity", "1e999"):
        body = json.dumps({"signal": SIGNAL, "method": "wam"})[:-1] + f', "rate": {value}}}'
        (event,) = lines(page.post("/api/explain/image", content=body, headers=JSON).text)
        assert event["error"] == "rate must be a number"


def test_pages_elsewhere_cannot_ask(page):
    assert page.get("/", headers={"host": "evil.example"}).status_code == 400
    answer = page.options("/api/draw/image", headers={"origin": "http://evil.example",
                                                      "access-control-request-method": "POST"})  # fmt: skip
    assert "access-control-allow-origin" not in answer.headers


def test_too_many_requests_are_told_to_come_back():
    with client(most_waiting=1) as page:
        worker = page.app.router.lifespan_context.__self__.worker
        running, go = threading.Event(), threading.Event()
        worker.submit(lambda job: (running.set(), go.wait(10)))
        assert running.wait(10)
        worker.submit(lambda job: None)
        answer = page.post("/api/draw/image", json={})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert page.get("/health").json() == {"status": "ok", "waiting": 1}
        go.set()


@pytest.mark.parametrize(
    ("modality", "content", "reason"),
    [
        ("audio", silence(), "the file holds digital silence"),
        ("volume", b"none", "the file is not a readable volume"),
    ],
)
def test_files_that_are_refused_are_called_so(page, modality, content, reason):
    answer = page.post(f"/api/upload/{modality}", content=content, headers=BYTES)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(reason)


def test_few_files_are_on_their_way_at_once_and_one_address_cannot_take_all_places():
    server = Server(site(), Worker(), [HOST])
    page = TestClient(server.app)  # whose address is "testclient"
    for on_their_way, status in (
        (["testclient"] * MOST_UPLOADING_OF_ADDRESS, 503),
        (["elsewhere"] * MOST_UPLOADING_OF_ADDRESS, 200),
        (["elsewhere"] * MOST_UPLOADING, 503),
    ):
        server.uploading = [*on_their_way]
        assert page.post("/api/upload/image", content=png(40, 40), headers=BYTES).status_code == status
        assert server.uploading == on_their_way  # those that are answered are not counted any more
