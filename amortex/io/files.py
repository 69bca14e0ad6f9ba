"""Files that are written in full or not at all."""

import os
from collections.abc import Iterator
from pathlib import Path

INCOMPLETE = ".amortex.{}.{}.part"  # name, process


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either there in full or not at all."""
    temporary = incomplete(path)
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def incomplete(path: Path) -> Path:
    """Where a file is until it is complete."""
    return path.with_name(INCOMPLETE.format(path.name, os.getpid()))


def left_over(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Incomplete files in a folder and below whose names, once they are complete, have one of these endings."""
    before, between, after = INCOMPLETE.split("{}")
    for path in folder.rglob(INCOMPLETE.format("*", "*")):
        if path.name.removeprefix(before).removesuffix(after).rpartition(between)[0].endswith(endings):
            yield path


def append(path: Path, text: str) -> None:
    """Append to a file, or leave it as it was (on a full disk, say)."""
    size = path.stat().st_size
    try:
        with open(path, "a", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError:
        os.truncate(path, size)
        raise
