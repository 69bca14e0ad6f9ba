"""Several people at once: each is answered, and nothing fails."""

import threading
import time

from benchmarks.page_crowd import KINDS, Visitor


def test_everybody_in_a_crowd_is_answered(address):
    end = time.monotonic() + 2
    people = [Visitor(address, f"{number:x}", end, size=32, method="wam") for number in range(5)]
    people += [Visitor(address, "eeee", end, size=32, method="wam") for _ in range(12)]  # one tab: beyond its share
    threads = [threading.Thread(target=visitor.stay) for visitor in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers = [answer for visitor in people for answer in visitor.answers]
    assert [answer.error for answer in answers if answer.error] == []
    assert all(visitor.answers for visitor in people)
    assert {answer.kind for answer in answers} <= set(KINDS)
