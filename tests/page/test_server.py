"""The server answers whatever it is sent, in one line and without a traceback, and serves its own files alone."""

import json
import threading

import pytest

from amortex.page.incoming import MOST_JSON, MOST_UPLOAD
from amortex.page.site import STATIC
from helpers.page import BYTES, SIGNAL, client, encoded_mask, half_mask, lines, still_answers

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def page():
    with client() as opened:
        yield opened


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
