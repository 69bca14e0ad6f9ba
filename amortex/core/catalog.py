"""Catalogues: names on the command line -> classes, which are imported when they are first asked for."""

import difflib
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from amortex.core.errors import InputError


def load(path: str) -> Any:
    """The object at ``package.module:name``."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def check_name(kind: str, name: str, known: Iterable[str]) -> str:
    """The name itself.

    Raises:
        InputError: it is not among the known names; the message offers near matches, or all of them.
    """
    names = list(known)
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else f"use one of {', '.join(names)}"
        raise InputError(f"unknown {kind} {name!r}: {hint}")
    return name
