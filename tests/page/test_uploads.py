"""Files that people bring: what is taken, what is refused, and how many at once."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile
from starlette.testclient import TestClient

from amortex.page.server import MOST_UPLOADING, MOST_UPLOADING_OF_ADDRESS, Server
from amortex.page.worker import Worker
from helpers.page import BYTES, HOST, client, lines, site, still_answers


@pytest.fixture(scope="module")
def page():
    with client() as opened:
        yield opened


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def silence() -> bytes:
    wavfile.write(buffer := io.BytesIO(), 16_000, np.zeros(800, np.int16))
    return buffer.getvalue()


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
