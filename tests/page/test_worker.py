"""The queue: order, short jobs in between, refusal, cancelling."""

import threading

import pytest

from amortex.page.worker import (
    MOST_OF_ADDRESS,
    MOST_OF_PERSON,
    STEP_BACK,
    BusyError,
    CancelledJobError,
    Person,
    Worker,
)


class Log:
    """Jobs that note when they run, and a first one that holds the worker until it is let go."""

    def __init__(self, worker: Worker) -> None:
        self.worker, self.names, self.done = worker, [], threading.Event()
        self.running, self.go = threading.Event(), threading.Event()

    def hold(self, interrupted: bool = False) -> None:
        def work(job):
            self.running.set()
            assert self.go.wait(10)
            if interrupted:
                worker.give_way(job)
            self.names.append("long")

        worker = self.worker
        worker.submit(work)
        assert self.running.wait(10)

    def finish(self) -> list[str]:
        self.worker.submit(lambda job: self.done.set())
        self.go.set()
        assert self.done.wait(10)
        return self.names


def test_jobs_are_done_in_turn():
    worker = Worker()
    log = Log(worker)
    log.hold()
    for name in "ab":
        worker.submit(lambda job, name=name: log.names.append(name))
    assert log.finish() == ["long", "a", "b"]


def test_short_jobs_are_done_between_the_steps_of_a_long_one():
    worker = Worker()
    log = Log(worker)
    log.hold(interrupted=True)
    worker.submit(lambda job: log.names.append("other"))
    worker.submit(lambda job: log.names.append("short"), short=True)
    assert log.finish() == ["short", "long", "other"]


def test_a_job_that_nobody_waits_for_is_left_out_and_a_running_one_ends():
    worker = Worker()
    log = Log(worker)
    log.hold()
    job = worker.submit(lambda job: log.names.append("cancelled"))
    job.cancelled.set()
    assert log.finish() == ["long"]
    with pytest.raises(CancelledJobError):
        worker.give_way(job)


def test_only_so_many_jobs_wait():
    worker = Worker(most_waiting=1)
    log = Log(worker)
    log.hold()
    worker.submit(lambda job: log.done.set())
    with pytest.raises(BusyError):
        worker.submit(lambda job: None)
    log.go.set()
    assert log.done.wait(10)


def test_jobs_that_nobody_waits_for_take_no_place():
    worker = Worker(most_waiting=1)
    log = Log(worker)
    log.hold()
    worker.submit(lambda job: None).cancelled.set()
    worker.submit(lambda job: log.done.set())
    log.go.set()
    assert log.done.wait(10)


def test_one_person_cannot_fill_the_queue():
    worker = Worker()
    log = Log(worker)
    log.hold()
    ann, ben = Person("here", "a"), Person("here", "b")
    for _ in range(MOST_OF_PERSON):
        worker.submit(lambda job: None, person=ann)
    with pytest.raises(BusyError, match="of yours"):
        worker.submit(lambda job: None, person=ann)
    worker.submit(lambda job: None, person=ben)
    for number in range(MOST_OF_ADDRESS - MOST_OF_PERSON - 1):
        worker.submit(lambda job: None, person=Person("here", str(number)))
    with pytest.raises(BusyError, match="many people"):
        worker.submit(lambda job: None, person=Person("here", "another"))
    worker.submit(lambda job: None, person=Person("elsewhere"))
    log.finish()


def test_who_waits_already_goes_behind_others_but_not_for_ever():
    worker = Worker()
    log = Log(worker)
    log.hold()

    def submit(name: str, tab: str) -> None:
        worker.submit(lambda job: log.names.append(name), person=Person("here", tab))

    for number in range(2):
        submit(f"a{number}", "a")
    for number in range(STEP_BACK + 1):
        submit(f"b{number}", f"b{number}")
    assert log.finish() == ["long", "a0", *(f"b{number}" for number in range(STEP_BACK - 1)), "a1", "b9", "b10"]


def test_short_jobs_do_not_interrupt_each_other():
    worker = Worker()
    log = Log(worker)
    log.hold(interrupted=True)

    def short(job, name) -> None:
        worker.give_way(job)
        log.names.append(name)

    for name in "abc":
        worker.submit(lambda job, name=name: short(job, name), short=True)
    assert log.finish() == ["a", "b", "c", "long"]


def test_a_long_job_goes_on_however_many_short_ones_come():
    worker = Worker()
    log = Log(worker)
    log.hold(interrupted=True)

    def short(job) -> None:
        log.names.append("short")
        worker.submit(lambda job: log.names.append("next"), short=True)

    worker.submit(short, short=True)
    assert log.finish() == ["short", "long", "next"]
