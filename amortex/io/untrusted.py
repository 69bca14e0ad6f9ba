"""Validate untrusted checkpoints before building from them."""

import zipfile
from math import prod
from pathlib import Path
from typing import Any

import torch

from amortex.core.errors import InputError

MAX_VALUES = 10_000  # in settings
LARGEST_NUMBER = 1e6  # in settings
LARGEST_ARGUMENT = 4096  # of a network's constructor
LARGEST_SIDE = 4096  # of a square input, in pixels
LARGEST_INPUT = 3 * LARGEST_SIDE**2  # values
TEXT_START = 60  # bytes of a file that tell text from weights
FIRST_TEXT_BYTE = 9  # a tab; below are bytes that text does not have, and weights do
MAX_NAMES = 3  # of objects, in one line
LARGEST = {"input_size": LARGEST_SIDE, "img_size": LARGEST_SIDE, "num_classes": 100_000, "levels": 10, "seed": 2**64}


def refuse_bomb(path: str | Path) -> None:
    """Refuse zip archives that are larger inside than outside: torch compresses nothing but TorchScript's programs.

    Raises:
        InputError: the archive is compressed, damaged or a program, or the path is no regular file.
    """
    path = Path(path)
    if not path.is_file():  # reading a pipe would wait, reading a device would never end
        raise InputError(f"{path} is no regular file")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            program = any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
        with open(path, "rb") as file:
            if file.read(2) == b"PK":  # torch's reader accepts archives that zipfile does not
                raise InputError(f"{path} is a damaged archive: it is refused") from error
        return  # no archive: whoever reads it says what is wrong
    if program:
        raise InputError(
            f"{path} is a TorchScript program, no weights: from Python, give the module torch.jit.load makes"
        )
    if size > path.stat().st_size:
        raise InputError(f"{path} is compressed, to hide {size} bytes: torch writes no such files, it is refused")


def refuse_objects(settings: Any, path: str | Path) -> None:
    """Refuse settings that are no plain values, name a class, or are too many or too large.

    Lightning's command line would make objects of tables with a ``class_path``, and of text in ``model_args`` that
    reads like such a table.

    Raises:
        InputError: the settings are refused.
    """
    if not isinstance(settings, dict):
        raise InputError(f"{path} is no amortex explainer: its settings are no table")
    # (key, value, whether it is an argument of a network); the list grows in the loop
    queue: list[tuple[Any, Any, bool]] = [(key, value, key == "model_args") for key, value in settings.items()]
    for key, value, argument in queue:
        if not isinstance(key, str):
            raise InputError(f"{path} has a setting whose name is no text: it is damaged")
        if "class_path" in key or (argument and isinstance(value, str) and set(value) & set("{:")):
            raise InputError(f"{path} names a class in its settings, or hides a table in text: it is refused")
        if key == "model_args" and not isinstance(value, dict | None):
            raise InputError(f"{path} has model_args that are no table: it is damaged")
        if isinstance(value, dict | list | tuple) and len(queue) + len(value) > MAX_VALUES:
            raise InputError(f"{path} has settings beyond measure: it is damaged")
        if isinstance(value, dict):
            queue += [(inner, item, argument or inner == "model_args") for inner, item in value.items()]
        elif isinstance(value, list | tuple) and key == "input_size" and _is_input_size(value):
            continue
        elif isinstance(value, list | tuple):
            queue += [(key, item, argument) for item in value]
        elif isinstance(value, int | float):
            if not abs(value) <= LARGEST.get(key, LARGEST_ARGUMENT if argument else LARGEST_NUMBER):
                raise InputError(f"{path} has a {key} beyond measure: it is damaged")
        elif value is not None and not isinstance(value, str):
            raise InputError(f"{path} has a {key} that is no plain value: it is damaged")


def _is_input_size(value: list[Any] | tuple[Any, ...]) -> bool:
    """Whether this is ``(C, *size)`` of an input that fits memory, however long one axis is."""
    return all(type(length) is int and length > 0 for length in value) and prod(value) <= LARGEST_INPUT


def refuse_tensors(weights: dict[str, Any], path: str | Path) -> None:
    """Refuse weights that are no tensors of finite numbers, or that are not in the file in full.

    Raises:
        InputError: the weights are refused.
    """
    for key, value in weights.items():
        try:
            valid = value.device.type == "cpu" and value.nbytes <= value.untyped_storage().nbytes()
            valid = valid and bool(torch.isfinite(value).all())
        except (AttributeError, TypeError, RuntimeError):  # no tensor, or one of a kind that networks do not have
            valid = False
        if not valid:
            raise InputError(f"{path} has weights that are no finite numbers ({key}): it is damaged")


def unreadable(path: str | Path) -> str:
    """Why a file holds no weights that can be read, and what to do about it, as far as its content tells; or nothing.

    Nothing in the file is executed.
    """
    with open(path, "rb") as file:
        start = file.read(TEXT_START)
    if not start:
        return "it is empty"
    if min(start) >= FIRST_TEXT_BYTE:
        line = start.decode("utf-8", "replace").strip().splitlines()[:1]
        return f"it is text ({''.join(line)!r}), perhaps a pointer or a web page: download the weights themselves"
    try:
        names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # a damaged file, or an old torch
        names = []
    if not names:
        return ""
    more = ", ..." if len(names) > MAX_NAMES else ""
    return (
        f"it holds objects besides tensors ({', '.join(names[:MAX_NAMES])}{more}), which would execute code: "
        "save model.state_dict() alone"
    )
