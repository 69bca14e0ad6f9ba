"""The queue: order, short jobs in between, refusal, cancelling."""

import threading

import pytest

from amortex.page.worker import BusyError, CancelledJobError, Worker


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
