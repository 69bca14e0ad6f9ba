"""Files of strangers: what they may hold before anything is built of it."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from amortex.core.errors import InputError

NODES, NUMBER = 10_000, 1e6  # most values and largest number in settings
MOST = {
    "input_size": 4096,
    "img_size": 4096,
    "num_classes": 100_000,
    "levels": 10,
    "seed": 2**64,
}  # other largest numbers
MOST_ARGUMENT = 4096  # of a network's constructor


def refuse_bomb(path: str | Path) -> None:
    """A zip archive, as torch writes them, must not be larger inside than outside: torch compresses nothing.

    Raises:
        InputError: it is, or the path is no regular file.
    """
    path = Path(path)
    if not path.is_file():  # a pipe would be waited for, a device never ends
        raise InputError(f"{path} is no regular file")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
        with open(path, "rb") as file:
            if file.read(2) == b"PK":  # torch's own reader is less particular
                raise InputError(f"{path} is a damaged archive: it is refused") from error
        return  # no archive: whoever reads it says what is wrong
    if size > path.stat().st_size:
        raise InputError(f"{path} is compressed, to hide {size} bytes: torch writes no such files, it is refused")


def refuse_objects(settings: Any, path: str | Path) -> None:
    """Settings must be plain values of reasonable size that name no classes.

    Lightning's command line would make objects of tables in which a ``class_path`` stands, and of text in
    ``model_args`` that reads like one.

    Raises:
        InputError: they are not.
    """
    if not isinstance(settings, dict):
        raise InputError(f"{path} is no amortex explainer: its settings are no table")
    todo: list[tuple[Any, Any, bool]] = [(key, value, key == "model_args") for key, value in settings.items()]
    for key, value, argument in todo:  # the list grows meanwhile
        if not isinstance(key, str):
            raise InputError(f"{path} has settings beyond measure: it is damaged")
        if "class_path" in key or (argument and isinstance(value, str) and set(value) & set("{:")):
            raise InputError(f"{path} names a class in its settings, or hides a table in text: it is refused")
        if key == "model_args" and not isinstance(value, dict | None):
            raise InputError(f"{path} has model_args that are no table: it is damaged")
        if isinstance(value, dict | list | tuple) and len(todo) + len(value) > NODES:
            raise InputError(f"{path} has settings beyond measure: it is damaged")
        if isinstance(value, dict):
            todo += [(inner, item, argument or inner == "model_args") for inner, item in value.items()]
        elif isinstance(value, list | tuple):
            todo += [(key, item, argument) for item in value]
        elif isinstance(value, int | float):
            if not abs(value) <= MOST.get(key, MOST_ARGUMENT if argument else NUMBER):
                raise InputError(f"{path} has a {key} beyond measure: it is damaged")
        elif value is not None and not isinstance(value, str):
            raise InputError(f"{path} has a {key} that is no plain value: it is damaged")


def refuse_tensors(weights: dict[str, Any], path: str | Path) -> None:
    """Weights must be tensors of finite numbers, all of which are in the file.

    Raises:
        InputError: they are not.
    """
    for key, value in weights.items():
        try:
            good = value.device.type == "cpu" and value.nbytes <= value.untyped_storage().nbytes()
            good = good and bool(torch.isfinite(value).all())
        except (AttributeError, TypeError, RuntimeError):  # no tensor, or one of a kind that networks do not have
            good = False
        if not good:
            raise InputError(f"{path} has weights that are no finite numbers ({key}): it is damaged")
