"""Parts of argument parsers: mistakes in one line, names with near matches, JSON. Nothing here imports torch."""

import argparse
import difflib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from amortex.core.catalog import check_name
from amortex.core.errors import InputError

# argparse's words for options, and jsonargparse's for settings in files
UNKNOWN = re.compile(
    r"(?:unrecognized arguments: (?=--)|Group '(?P<group>[\w.]+)' does not accept option '|"
    r"does not accept option '|Option ')"
    r"(?P<dashes>--)?(?P<name>[^\s=']+)"
)


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, by InputError, instead of pages of usage."""

    def error(self, message: str) -> NoReturn:
        raise InputError(with_near_option(message, self._option_string_actions))


def with_near_option(message: str, options: Iterable[str]) -> str:
    """What a parser says, and if it does not know an option or a setting, the one that is spelled like that."""
    found = UNKNOWN.search(message)
    if found is None:
        return message
    names = [option.removeprefix("--") for option in options if option.startswith("--")]
    name = ".".join(filter(None, (found["group"], found["name"])))
    near = [known for known in names if known.endswith(f".{name}")] or difflib.get_close_matches(name, names, n=1)
    return message + (f"; did you mean {found['dashes'] or ''}{near[0]}?" if near else "")


def one_of(kind: str, names: Iterable[str]) -> dict[str, Any]:
    """Arguments of an option that takes one of these names; near matches answer a mistyped one."""
    choices = tuple(names)

    def name_of(text: str) -> str:
        try:
            return check_name(kind, text, choices)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error  # argparse shows messages of this type alone

    return {"type": name_of, "choices": choices}


def named_folder(text: str) -> Path:
    """A folder with a name: the path of an empty one would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name of the folder is empty")
    return Path(text)


def json_object(text: str | dict[str, Any]) -> dict[str, Any]:
    try:
        value = json.loads(text) if isinstance(text, str) else text  # Lightning's parser asks again, with the result
    except json.JSONDecodeError as error:
        message = f"{text!r} is not JSON ({error}); write for instance '{{\"width\": 32}}'"
        raise argparse.ArgumentTypeError(message) from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object; write for instance '{{\"width\": 32}}'")
    return value
