"""What comes in: bodies that are read no further than allowed, and who sends them."""

import asyncio
import re

from starlette.requests import Request

from amortex.page.worker import Person

MOST_JSON, MOST_UPLOAD = 1024 * 1024, 20 * 1024 * 1024  # bytes
MOST_SECONDS = 60.0  # that a body may take to come
TAB = re.compile(r"[0-9a-f-]{1,64}")  # what a tab calls itself


class RefusedError(Exception):
    """A request that is not answered.

    Arguments:
        status: of the answer.
        reason: one line.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


async def body_of(request: Request, content_type: str, most: int) -> bytes:
    """The body; raises RefusedError for other types, larger ones, and those that come too slowly."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != content_type:
        raise RefusedError(415, f"send {content_type}")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > most:
        raise RefusedError(413, f"at most {most:,} bytes are taken")
    try:
        return await asyncio.wait_for(_read(request, most), MOST_SECONDS)
    except asyncio.TimeoutError:
        raise RefusedError(408, "the request took too long to come") from None


async def _read(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise RefusedError(413, f"at most {most:,} bytes are taken")
    return bytes(body)


def person_of(request: Request) -> Person:
    """Who asks, by the address and by what the tab calls itself."""
    tab = request.headers.get("x-tab", "")
    return Person(request.client.host if request.client else "", tab if TAB.fullmatch(tab) else "")
