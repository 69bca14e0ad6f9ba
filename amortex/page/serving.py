"""Starting the server: from the command line, or in a thread of a program."""

import ipaddress
import socket
import threading
from typing import Any

import uvicorn

from amortex.core.errors import InputError
from amortex.core.process import prepare
from amortex.page.server import Server
from amortex.page.site import Site
from amortex.page.worker import Worker

LOCAL = ("127.0.0.1", "localhost", "[::1]")
STARTED = 10.0  # seconds that a thread may take to start


def hosts_of(host: str) -> list[str]:
    """The names that a page that listens at an address may be called by: any, where it is not this machine's own."""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return [*LOCAL] if local else ["*"]


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; raises InputError where that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
    except (OSError, OverflowError) as error:
        opened.close()
        why = getattr(error, "strerror", None) or error
        raise InputError(f"cannot listen at {host}:{port}: {why}; choose another --port") from error
    return opened


def server_for(site: Site, host: str, frame: str = "'self'") -> uvicorn.Server:
    """A server that is not running yet."""
    app = Server(site, Worker(prepare=prepare), hosts_of(host), frame).app
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_keep_alive=30, limit_concurrency=200,
        timeout_graceful_shutdown=2, ws="none",
    )  # fmt: skip
    return uvicorn.Server(config)


def address_of(opened: socket.socket) -> str:
    host, port = opened.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def serve(host: str, port: int, device: str, frame: str | None = None) -> None:
    """Serve until interrupted; `frame` is another origin that may show the page in a frame.

    Raises:
        InputError: the address cannot be listened at; there is no such device.
    """
    opened = listen(host, port)
    site = Site(device=device)
    site.service("image")
    print(f"play with explanations: {address_of(opened)} (Ctrl+C ends)", flush=True)
    server_for(site, host, "'self'" if frame is None else f"'self' {frame}").run(sockets=[opened])


def serve_in_thread(site: Site, port: int = 0, frame: str = "'self'") -> tuple[str, Any]:
    """Serve in a thread that ends with the program; the address, and the server, whose ``should_exit`` ends it.

    Raises:
        InputError: the port is in use.
    """
    opened = listen("127.0.0.1", port)
    server = server_for(site, "127.0.0.1", frame)
    threading.Thread(target=server.run, kwargs={"sockets": [opened]}, name="amortex-page-server", daemon=True).start()
    waiting = threading.Event()
    for _ in range(int(STARTED / 0.02)):
        if server.started:
            break
        waiting.wait(0.02)
    return address_of(opened), server
