"""Between the server, where requests wait, and the worker, where they are done."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from amortex.core.errors import InputError
from amortex.core.process import out_of_memory
from amortex.page.worker import CancelledJobError, Job, Person, Worker

logger = logging.getLogger(__name__)
OnEvent = Callable[[dict[str, Any]], None]
OnStep = Callable[[], None]  # lets short jobs go first; may raise, to end a job
END = None


def failure(error: Exception) -> dict[str, Any]:
    """What is told of an error: one line."""
    if isinstance(error, InputError):
        return {"event": "error", "error": str(error)}
    if out_of_memory(error):
        return {"event": "error", "error": "the machine's memory ran out: try again later", "status": 503}
    logger.exception("a request failed")
    return {"event": "error", "error": "something went wrong here: the server's log says what", "status": 500}


class Stream:
    """The events of one job, as they come.

    Arguments:
        worker: does the job.
        work: ``work(on_event, on_step)``.
        person: who asks.
        short: see `Job`.

    Raises:
        BusyError: too many jobs wait.
    """

    def __init__(
        self, worker: Worker, work: Callable[[OnEvent, OnStep], None], person: Person, short: bool = False
    ) -> None:
        loop, self._events = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any] | None]()

        def put(event: dict[str, Any] | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._events.put_nowait, event)

        def run(job: Job) -> None:
            try:
                work(put, lambda: worker.give_way(job))
            except CancelledJobError:
                pass
            except Exception as error:
                put(failure(error))
            put(END)

        self.job = worker.submit(run, short, person)

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """The events; leaving early cancels the job."""
        try:
            while (event := await self._events.get()) is not END:
                yield event
        finally:
            self.job.cancelled.set()

    async def lines(self) -> AsyncIterator[bytes]:
        """The events as lines of JSON."""
        async for event in self.events():
            yield json.dumps(event, allow_nan=False).encode() + b"\n"


async def answer(
    worker: Worker, work: Callable[[OnStep], dict[str, Any]], person: Person, short: bool = True
) -> dict[str, Any]:
    """What a job returns, or the failure. `work` is called with what a long job calls between its steps.

    Raises:
        BusyError: too many jobs wait.
    """
    stream = Stream(worker, lambda on_event, on_step: on_event({"event": "answer", **work(on_step)}), person, short)
    async for event in stream.events():
        return event
    return failure(InputError("there is no answer"))
