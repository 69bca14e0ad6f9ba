"""Readers: from files as people have them to tensors as classifiers take them, one for each kind of signals."""

import importlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from amortex.core.errors import InputError

Readable = str | Path | bytes
READERS = {
    1: "amortex.io.sounds:SoundReader",
    2: "amortex.io.images:Preprocess",
    3: "amortex.io.volumes:VolumeReader",
}  # by the number of a signal's axes


class Reader(Protocol):
    """Reads signals for one classifier, whose data config it is made of."""

    def __call__(self, signal: Any) -> Tensor:
        """``(C, *size)`` of a signal in memory: a PIL image, or an array. Raises InputError for what is none."""
        ...

    def load(self, file: Readable) -> Tensor:
        """``(C, *size)`` of a file, or of what one holds. Raises InputError for what cannot be read."""
        ...

    def give_notices(self) -> None:
        """Say, in one line each, what was done to the signals so far that one may not expect."""
        ...


def reader_of(data_config: dict[str, Any]) -> Reader:
    """The reader for a classifier.

    Arguments:
        data_config: its ``input_size`` ``(C, *size)`` says which, and the reader takes further keys.

    Raises:
        InputError: there is no reader for signals of that many axes or channels.
    """
    module, _, name = READERS[len(data_config["input_size"]) - 1].partition(":")
    reader: Reader = getattr(importlib.import_module(module), name)(data_config)
    return reader


@contextmanager
def readable(name: str, noun: str, file: Any = None) -> Iterator[None]:
    """Within, what decoders raise of a file, which messages call by a name, is an InputError in one line.

    Arguments:
        name: of the file.
        noun: what it should hold.
        file: as decoders know it: messages leave that out.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # large images are expected, damaged metadata is harmless
            yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        message = getattr(error, "error_string", error)  # libsndfile's without the name
        reason = str(message).replace(repr(file), "").strip()
        raise InputError(f"{name}: not a readable {noun} ({type(error).__name__}: {reason})") from error


def refuse_irregular(file: Readable) -> None:
    """Raises OSError for what is there but no regular file: reading a pipe would wait for its writer."""
    if not isinstance(file, bytes) and os.path.exists(file) and not os.path.isfile(file):
        raise OSError("no regular file")
