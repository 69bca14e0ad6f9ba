"""The server: routes, limits and headers. It knows nothing of classifiers, but hands requests to the worker."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from amortex.core.errors import InputError
from amortex.core.modalities import MODALITIES
from amortex.page import requests
from amortex.page.drawing import certified, draw
from amortex.page.incoming import MOST_JSON, MOST_UPLOAD, RefusedError, body_of, person_of
from amortex.page.site import Site, files, nino
from amortex.page.streams import OnStep, Stream, answer
from amortex.page.worker import BusyError, Worker

MOST_UPLOADING, MOST_UPLOADING_OF_ADDRESS = 8, 4  # files that are in memory on their way
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-cache",
}
RETRY_AFTER = "2"  # seconds


class SecurityHeaders:
    """Adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self.app = app
        self.headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self.headers]
            await send(message)

        await self.app(scope, receive, send_with_headers)


class Server:
    """The application.

    Arguments:
        site: what is served; only the worker's thread uses its services.
        worker: does the work.
        hosts: names that the page may be called by: those of others are refused, so that no page elsewhere can read
            this one by pointing its own name here.
        frame: origins that may show the page in a frame.
    """

    def __init__(self, site: Site, worker: Worker, hosts: list[str], frame: str = "'self'") -> None:
        self.site, self.worker = site, worker
        self.uploading: list[str] = []  # addresses, once for each file
        headers = {**HEADERS, "content-security-policy": CONTENT_SECURITY_POLICY.replace(
            "frame-ancestors 'self'", f"frame-ancestors {frame}")}  # fmt: skip
        routes = [
            Route("/", self.index),
            Route("/static/{name}", self.static),
            Route("/health", self.health),
            Route("/data/site.json", self.describe),
            Route("/data/nino.json", self.nino),
            Route("/data/signals/{key}.png", self.preview),
            Route("/api/upload/{modality}", self.upload, methods=["POST"]),
            Route("/api/draw/{modality}", self.draw, methods=["POST"]),
            Route("/api/explain/{modality}", self.explain, methods=["POST"]),
            Route("/api/curve/{modality}", self.curve, methods=["POST"]),
        ]
        errors: Any = {RefusedError: refused, BusyError: busy, InputError: refused, Exception: failed}
        middleware = [Middleware(SecurityHeaders, headers=headers),
                      Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)]  # fmt: skip
        self.app = Starlette(
            routes=routes, middleware=middleware, exception_handlers=errors, lifespan=self._closing_worker
        )

    @asynccontextmanager
    async def _closing_worker(self, app: Starlette) -> AsyncIterator[None]:
        yield
        self.worker.close()

    async def index(self, request: Request) -> Response:
        return file("index.html")

    async def static(self, request: Request) -> Response:
        return file(request.path_params["name"])

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "waiting": self.worker.waiting})

    async def describe(self, request: Request) -> Response:
        return await self._answer(request, lambda on_step: self.site.describe())

    async def nino(self, request: Request) -> Response:
        return Response(nino(), media_type="application/json")

    async def preview(self, request: Request) -> Response:
        key = request.path_params["key"]
        event = await answer(self.worker, lambda on_step: {"content": self.site.preview(key)}, person_of(request))
        return Response(event["content"], media_type="image/png") if "content" in event else told(event, 404)

    async def upload(self, request: Request) -> Response:
        modality = modality_in(request)
        address = person_of(request).address
        if len(self.uploading) >= MOST_UPLOADING or self.uploading.count(address) >= MOST_UPLOADING_OF_ADDRESS:
            raise BusyError("many people are sending files: try again in some seconds")
        self.uploading.append(address)
        try:
            content = await body_of(request, "application/octet-stream", MOST_UPLOAD)
            return await self._answer(
                request, lambda on_step: {"key": self.site.service(modality).signals.accept(content)}
            )
        finally:
            self.uploading.remove(address)

    async def draw(self, request: Request) -> Response:
        modality = modality_in(request, ("image",))
        asked = requests.parse(await body_of(request, "application/json", MOST_JSON))
        return await self._answer(
            request, lambda on_step: draw(self.site.service(modality), asked, on_step), short=not certified(asked)
        )

    async def explain(self, request: Request) -> Response:
        return await self._stream(request, "explain")

    async def curve(self, request: Request) -> Response:
        return await self._stream(request, "curve")

    async def _answer(self, request: Request, work: Callable[[OnStep], dict[str, Any]], short: bool = True) -> Response:
        return told(await answer(self.worker, work, person_of(request), short))

    async def _stream(self, request: Request, kind: str) -> Response:
        modality = modality_in(request)
        asked = requests.parse(await body_of(request, "application/json", MOST_JSON))
        stream = Stream(
            self.worker,
            lambda on_event, on_step: getattr(self.site.service(modality), kind)(asked, on_event, on_step),
            person_of(request),
        )
        return StreamingResponse(stream.lines(), media_type="application/x-ndjson")


def modality_in(request: Request, known: tuple[str, ...] = tuple(MODALITIES)) -> str:
    """The kind of signals in the path; raises RefusedError for others."""
    modality: str = request.path_params["modality"]
    if modality not in known:
        raise RefusedError(404, "there is no such kind of signals")
    return modality


def file(name: str) -> Response:
    """One of the page's own files; any other name is not found, whatever it says."""
    if name not in files():
        return JSONResponse({"error": "not found"}, 404)
    content, kind = files()[name]
    return Response(content, media_type=kind)


def told(event: dict[str, Any], status: int = 422) -> Response:
    """An answer, or what is told of a failure."""
    failed_with = event.get("status", status) if event.get("event") == "error" else 200
    return Response(json.dumps(event, allow_nan=False), failed_with, media_type="application/json")


async def refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, getattr(error, "status", 422))


async def busy(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 503, {"retry-after": RETRY_AFTER})


async def failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "something went wrong here"}, 500)
