"""One thread that does all work on classifiers, job after job: requests wait in turn, and only so many of them."""

import threading
from collections import deque
from collections.abc import Callable

MOST_WAITING = 32


class BusyError(Exception):
    """As many jobs wait already as may."""


class CancelledJobError(Exception):
    """Raised within a job whose result nobody waits for any more."""


class Job:
    """What is to be done, and whether somebody still wants it.

    Arguments:
        work: is called with the job.
        short: whether it takes no longer than a person waits for a stroke: it may interrupt others.
    """

    def __init__(self, work: Callable[["Job"], None], short: bool) -> None:
        self.work, self.short = work, short
        self.cancelled = threading.Event()


class Worker:
    """A queue and its thread.

    Networks and libraries below are used by this one thread alone, so none of them need be safe for several.

    Arguments:
        most_waiting: jobs that may wait; further ones are refused.
        prepare: called first in the thread, for settings that each thread has its own of.
    """

    def __init__(self, most_waiting: int = MOST_WAITING, prepare: Callable[[], None] = lambda: None) -> None:
        self.most_waiting, self.prepare = most_waiting, prepare
        self._jobs: deque[Job] = deque()
        self._changed, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="amortex-page", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Job], None], short: bool = False) -> Job:
        """Have something done.

        Raises:
            BusyError: too many jobs wait.
        """
        job = Job(work, short)
        with self._changed:
            self._jobs = deque(waiting for waiting in self._jobs if not waiting.cancelled.is_set())
            if len(self._jobs) >= self.most_waiting:
                raise BusyError
            self._jobs.append(job)
            self._changed.notify()
        return job

    def give_way(self, job: Job) -> None:
        """To be called between the steps of a long job: short jobs that wait are done first.

        Raises:
            CancelledJobError: nobody waits for the job any more.
        """
        if job.cancelled.is_set():
            raise CancelledJobError
        while (waiting := self._take_short()) is not None:
            self._do(waiting)

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    def close(self) -> None:
        """End the thread when its job is done; jobs that wait are forgotten."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify()

    def _take_short(self) -> Job | None:
        with self._changed:
            found = next((job for job in self._jobs if job.short), None)
            if found is not None:
                self._jobs.remove(found)
        return found

    def _run(self) -> None:
        self.prepare()
        while True:
            with self._changed:
                while not self._jobs and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._jobs.popleft()
            self._do(job)

    def _do(self, job: Job) -> None:
        """Work reports its own errors; without anybody to report to it is left out."""
        if not job.cancelled.is_set():
            job.work(job)
