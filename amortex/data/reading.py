"""Reading signals that may be broken."""

import logging
from typing import Any

import torch
from torch import Tensor

from amortex.core.errors import InputError, escape
from amortex.data.sources import SignalSource

MAX_NAMED_FAILURES = 20  # unreadable signals that are named: a folder that disappears has thousands
logger = logging.getLogger(__name__)


def try_open(source: SignalSource, index: int) -> Any:
    """The signal, or why it cannot be read."""
    try:
        return source.open(index)
    except MemoryError:
        raise
    except InputError as error:
        return escape(error)
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        return escape(f"{type(error).__name__}: {error}")


class SkippingReader:
    """Opens signals of a source, and tells which are broken. Each broken one is named once.

    Arguments:
        source: of the signals.
        broken: ``(len(source),)`` bool, the signals known to be broken; the loader's workers share it.
        noun: what messages call a signal.
    """

    def __init__(self, source: SignalSource, broken: Tensor | None = None, noun: str = "image") -> None:
        self.source, self.noun = source, noun
        self.broken = torch.zeros(len(source), dtype=torch.bool).share_memory_() if broken is None else broken

    def of(self, source: SignalSource) -> "SkippingReader":
        """A reader of the same signals from another source."""
        return SkippingReader(source, self.broken, self.noun)

    def check(self) -> None:
        """Raises InputError unless a signal can be read. Names none: that is left to the process that leaves it out."""
        size, reason = len(self.source), ""
        for index in range(size):
            signal = try_open(self.source, index)
            if not isinstance(signal, str):
                return
            reason = reason or signal
        first = escape(self.source.name(0))
        raise InputError(f"none of {size} {self.noun}s can be read; the first: {first} ({reason})")

    def read(self, index: int) -> Any:
        """The signal `index`, or why it cannot be read."""
        signal = try_open(self.source, index)
        if isinstance(signal, str) and not self.broken[index]:
            self.broken[index] = True
            self._warn(self.source.name(index), signal)
        return signal

    def open(self, index: int) -> tuple[Any, str]:
        """The signal `index`, or the first readable one after it, and its name.

        Raises:
            InputError: none can be read.
        """
        size = len(self.source)
        for candidate in (position % size for position in range(index, index + size)):
            if not self.broken[candidate] and not isinstance(signal := self.read(candidate), str):
                return signal, self.source.name(candidate)
        raise InputError(f"none of {size} {self.noun}s can be read, the last of them {self.source.name(size - 1)}")

    def _warn(self, name: str, reason: str) -> None:
        failures = int(self.broken.sum())
        if failures <= MAX_NAMED_FAILURES:
            logger.warning("%s: not a readable %s, left out (%s)", escape(name), self.noun, reason)
        if failures == MAX_NAMED_FAILURES:
            logger.warning("further unreadable %ss are left out without being named", self.noun)
