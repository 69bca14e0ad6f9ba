"""Files that are written in full or not at all, and the names of results."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

INCOMPLETE = ".amortex.{}.{}.part"  # name, process
# endings of the files of one explanation
MASK_ENDING, EXPLANATION_ENDING, PANEL_ENDING = "_mask.safetensors", "_explanation.png", "_panel.png"
KEPT_SOUND_ENDING, DROPPED_SOUND_ENDING, KEPT_VOLUME_ENDING = "_kept.wav", "_dropped.wav", "_kept.npy"
RESULT_ENDINGS = (EXPLANATION_ENDING, PANEL_ENDING, KEPT_SOUND_ENDING, DROPPED_SOUND_ENDING, KEPT_VOLUME_ENDING)


def data_url(content: bytes, kind: str) -> str:
    """The contents of a file as an address, for pages without files beside them; `kind` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file in full, or leave the path as it was."""
    temporary = incomplete(path)
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def incomplete(path: Path) -> Path:
    """The path of a file until it is complete."""
    return path.with_name(INCOMPLETE.format(path.name, os.getpid()))


def left_over(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Incomplete files in a folder and below whose complete names would have one of these endings."""
    prefix, separator, suffix = INCOMPLETE.split("{}")
    for path in folder.rglob(INCOMPLETE.format("*", "*")):
        if path.name.removeprefix(prefix).removesuffix(suffix).rpartition(separator)[0].endswith(endings):
            yield path


def append(path: Path, text: str) -> None:
    """Append to a file, or leave it as it was, for instance on a full disk."""
    size = path.stat().st_size
    try:
        with open(path, "a", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError:
        os.truncate(path, size)
        raise


def relative_to_current(path: str) -> str:
    """The path from the current folder, if it lies there."""
    return str(Path(path).relative_to(Path.cwd())) if Path(path).is_relative_to(Path.cwd()) else path
