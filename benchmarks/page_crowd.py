"""Ten people at the page at once: is each answered in turn, is memory bounded, and does nothing fail?

    python -m benchmarks page_crowd
    python -m benchmarks page_crowd --people 20 --seconds 300

For docs/page.md. The server runs in a process of its own. Each person goes on asking, one request after another: mostly
strokes, and now and then a certificate, an explanation, its curve, or a file. Whoever is told to come back (503) does
so, as the page's own scripts do. One more, the last in the table, is greedy, and asks without waiting for answers. The
table has the requests that were answered, how often somebody was told to come back, and the seconds until the answer.
The exit status is 1 where any request failed.
"""

import argparse
import http.client
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from amortex.core.errors import InputError
from benchmarks.page import SIGNAL, Client, disc
from benchmarks.processes import ROOT

OTHERS = ("coffee", "rocket", "astronaut", "motorcycle_left", "camera")
GREED = 12  # requests at once
KINDS = {"stroke": 20, "certificate": 2, "explain": 2, "curve": 1, "upload": 2}  # how often each is asked


class Answer(NamedTuple):
    """What somebody got."""

    kind: str
    seconds: float
    refusals: int
    error: str


class Visitor:
    """Somebody at the page.

    Arguments:
        address: of the page.
        name: that the tab calls itself by.
        end: when to leave, in seconds of the monotonic clock.
        size: of the images of the page's classifier.
        method: that explains.
    """

    def __init__(self, address: str, name: str, end: float, size: int = 224, method: str = "amortized") -> None:
        self.address, self.name, self.end, self.size, self.method = address, name, end, size, method
        self.random, self.answers = random.Random(name), list[Answer]()
        self.result: str | None = None

    def stay(self) -> None:
        """Ask until it is time to leave; a request that is under way is waited for."""
        client = Client(self.address, self.name)
        while time.monotonic() < self.end:
            (kind,) = self.random.choices(list(KINDS), list(KINDS.values()))
            path, body, content_type = self.request(kind)
            self.answers.append(self.patient(client, kind, path, body, content_type))

    def patient(self, client: Client, kind: str, path: str, body: Any, content_type: str) -> Answer:
        """Ask, and ask again where the server is busy."""
        start, refusals = time.monotonic(), 0
        try:
            while (asked := client.ask(path, body, content_type))[0] == http.HTTPStatus.SERVICE_UNAVAILABLE:
                refusals += 1
                time.sleep(asked[2] * self.random.uniform(0.5, 1.5))
        except (OSError, ValueError, http.client.HTTPException) as error:
            client.connection.close()  # the next request opens another
            return Answer(kind, time.monotonic() - start, refusals, f"{type(error).__name__}: {error}")
        status, answer, _ = asked
        self.result = answer.get("result", self.result)
        forgotten = "explain again" in answer.get("error", "")  # of a curve: others have explained since
        failed = not forgotten and (status != 200 or answer.get("event") == "error")
        return Answer(kind, time.monotonic() - start, refusals, f"{status}: {answer.get('error')}" if failed else "")

    def request(self, kind: str) -> tuple[str, Any, str]:
        """Path, body and type of a request."""
        json_type = "application/json"
        signal = self.random.choice((SIGNAL, *OTHERS))
        if kind == "upload":
            size = self.random.randrange(50, 900), self.random.randrange(50, 900)
            Image.effect_noise(size, 60).save(buffer := BytesIO(), "JPEG")
            return "/api/upload/image", buffer.getvalue(), "application/octet-stream"
        if kind == "curve" and self.result is not None:
            return "/api/curve/image", {"result": self.result}, json_type
        if kind in ("explain", "curve"):
            weight = self.random.choice((1, 2, 5, 10))
            return "/api/explain/image", {"signal": signal, "method": self.method, "lambda_k": weight}, json_type
        domain = self.random.choice(("pixels", "wavelets"))
        body = {"signal": signal, "mask": disc(self.size), "domain": domain, "certify": kind == "certificate"}
        return "/api/draw/image", body, json_type


def main(options: argparse.Namespace) -> int:
    end = time.monotonic() + options.seconds
    with running() as (address, process):
        first = Visitor(address, "f", end)
        first.patient(Client(address), "stroke", *first.request("stroke"))  # loads what is loaded once
        before, end = memory(process.pid), time.monotonic() + options.seconds
        people = [Visitor(address, f"{number:x}", end) for number in range(options.people)]
        greedy = [Visitor(address, "eeee", end) for _ in range(GREED)]
        threads = [threading.Thread(target=visitor.stay) for visitor in (*people, *greedy)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = memory(process.pid)
    print("| who | answered | told to come back | strokes | median (s) | longest (s) |\n|---|---|---|---|---|---|")
    for visitor in people:
        print_row(visitor.name, visitor.answers)
    print_row("greedy", [answer for visitor in greedy for answer in visitor.answers])
    errors = [answer for visitor in (*people, *greedy) for answer in visitor.answers if answer.error]
    print(f"\npeak memory: {before:.0f} MiB after one stroke, {after:.0f} MiB at the end; {len(errors)} errors")
    for answer in errors[:10]:
        print(f"{answer.kind}: {answer.error}")
    return int(bool(errors))


def print_row(name: str, answers: list[Answer]) -> None:
    """A row of the table; its seconds are those of strokes."""
    seconds = [answer.seconds for answer in answers if answer.kind == "stroke"] or [float("nan")]
    refusals = sum(answer.refusals for answer in answers)
    print(f"| {name} | {len(answers)} | {refusals} | {len(seconds)} | {statistics.median(seconds):.1f} "
          f"| {max(seconds):.1f} |")  # fmt: skip


@contextmanager
def running() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A page in a process of its own: its address, and the process.

    Raises:
        InputError: it did not start.
    """
    command = [sys.executable, "-m", "amortex.page", "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            words = (word for line in process.stdout for word in line.split())
            address = next((word for word in words if word.startswith("http://")), None)
            if address is None:
                raise InputError("the page did not start")
            yield address, process
        finally:
            process.terminate()


def memory(pid: int) -> float:
    """Peak resident memory of a process in MiB; NaN where there is no /proc."""
    status = Path(f"/proc/{pid}/status")
    if not status.is_file():
        return float("nan")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return float(line.split()[1]) / 1024
