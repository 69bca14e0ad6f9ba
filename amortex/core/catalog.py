"""Catalogues: from names on the command line to classes, which are imported when first asked for."""

import difflib
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from amortex.core.errors import InputError


def load(path: str) -> Any:
    """The object at ``package.module:name``."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def similar_names(name: str, known: Iterable[str]) -> str:
    """``did you mean ...?`` with the known names that are spelled like this one; empty without any.

    >>> similar_names("GradCAM", ["gradcam", "gradcam_pp"]), similar_names("gradcm", ["gradcam", "wam"])
    ('did you mean gradcam?', 'did you mean gradcam?')
    """
    listed = list(known)
    matches = [other for other in listed if other.lower() == name.lower()]
    matches = matches or difflib.get_close_matches(name, listed, n=3)
    return f"did you mean {', '.join(matches)}?" if matches else ""


def check_name(kind: str, name: str, known: Iterable[str]) -> str:
    """The name itself.

    Raises:
        InputError: it is not among the known names; the message offers similar names, or all of them.
    """
    names = list(known)
    if name not in names:
        hint = similar_names(str(name), names) or f"use one of {', '.join(names)}"
        raise InputError(f"unknown {kind} {name!r}: {hint}")
    return name
