"""Where the time of a comparison goes: seconds by section, and those inside the classifier."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from amortex.classifiers.pass_counter import PassCounter


class Stopwatch:
    """Seconds by section, and a counter for the passes of classifiers.

    Attributes:
        sections: seconds by the name of the section.
        counter: counts passes, and the seconds that they take, of the classifiers that it watches.
    """

    def __init__(self) -> None:
        self.sections: defaultdict[str, float] = defaultdict(float)
        self.counter = PassCounter()

    @property
    def seconds(self) -> float:
        """Of all sections together."""
        return sum(self.sections.values())

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Add the seconds within to the section's; those of a section inside count for the inner one alone."""
        start, before = time.perf_counter(), self.seconds
        try:
            yield
        finally:
            inner = self.seconds - before
            self.sections[name] += time.perf_counter() - start - inner


def synchronise(device: torch.device) -> None:
    """Wait for a GPU, so that a clock tells what it did."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
