"""One thread that does all work on classifiers, job after job: requests wait in turn, and only so many of them."""

import itertools
import threading
from collections.abc import Callable
from typing import NamedTuple

MOST_WAITING, MOST_OF_ADDRESS, MOST_OF_PERSON = 32, 24, 8
STEP_BACK = 10  # requests of others that may go before one of somebody who waits already, for each that waits


class BusyError(Exception):
    """As many jobs wait already as may; the text is for people."""


class CancelledJobError(Exception):
    """Raised within a job whose result nobody waits for any more."""


class Person(NamedTuple):
    """Who asks: people behind one address are told apart by the tabs that they ask from, which may lie."""

    address: str = ""
    tab: str = ""


class Job:
    """What is to be done, and whether somebody still wants it.

    Arguments:
        work: is called with the job.
        short: whether it takes no longer than a person waits for a stroke: it may interrupt others.
        person: who asks for it.
        place: in the queue.
    """

    def __init__(self, work: Callable[["Job"], None], short: bool, person: Person, place: int) -> None:
        self.work, self.short, self.person, self.place = work, short, person, place
        self.cancelled = threading.Event()


class Worker:
    """A queue and its thread.

    Networks and libraries below are used by this one thread alone, so none of them need be safe for several.
    Whoever has jobs waiting already goes behind others, but not for ever: places are fixed, later ones are higher.

    Arguments:
        most_waiting: jobs that may wait; further ones are refused, as are those of one address or person beyond
            `MOST_OF_ADDRESS` and `MOST_OF_PERSON`.
        prepare: called first in the thread, for settings that each thread has its own of.
    """

    def __init__(self, most_waiting: int = MOST_WAITING, prepare: Callable[[], None] = lambda: None) -> None:
        self.most_waiting, self.prepare = most_waiting, prepare
        self._jobs: list[Job] = []
        self._arrivals = itertools.count()
        self._changed, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="amortex-page", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Job], None], short: bool = False, person: Person = Person()) -> Job:  # noqa: B008
        """Have something done.

        Raises:
            BusyError: too many jobs wait, of all people or of this one.
        """
        with self._changed:
            self._jobs = [waiting for waiting in self._jobs if not waiting.cancelled.is_set()]
            same_address = [waiting for waiting in self._jobs if waiting.person.address == person.address]
            same_person = sum(waiting.person == person for waiting in same_address)
            if same_person >= MOST_OF_PERSON:
                raise BusyError("many requests of yours wait: try again in some seconds")
            if len(self._jobs) >= self.most_waiting or len(same_address) >= MOST_OF_ADDRESS:
                raise BusyError("many people are playing: try again in some seconds")
            job = Job(work, short, person, next(self._arrivals) + STEP_BACK * same_person)
            self._jobs.append(job)
            self._changed.notify()
        return job

    def give_way(self, job: Job) -> None:
        """To be called between the steps of a job: if it is long, the short jobs that wait are done first.

        Those that come meanwhile wait for the next step, so that the long job goes on however many there are.

        Raises:
            CancelledJobError: nobody waits for the job any more.
        """
        if job.cancelled.is_set():
            raise CancelledJobError
        if job.short:  # short jobs do not interrupt each other: the first would be answered last
            return
        with self._changed:
            waiting = sum(waiting.short for waiting in self._jobs)
        for _ in range(waiting):
            with self._changed:
                short = self._take([waiting for waiting in self._jobs if waiting.short])
            if short is not None:
                self._do(short)

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

    def _take(self, jobs: list[Job]) -> Job | None:
        """The first of these jobs that wait, which waits no longer."""
        first = min(jobs, key=lambda job: job.place, default=None)
        if first is not None:
            self._jobs.remove(first)
        return first

    def _run(self) -> None:
        self.prepare()
        while True:
            with self._changed:
                while not self._jobs and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._take(self._jobs)
            if job is not None:
                self._do(job)

    def _do(self, job: Job) -> None:
        """Work reports its own errors; without anybody to report to it is left out."""
        if not job.cancelled.is_set():
            job.work(job)
