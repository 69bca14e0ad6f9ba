"""The options of `explain.py` as keywords of `load_explainer`."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from amortex.app.options import build_parser
from amortex.core.errors import InputError


def from_keywords(keywords: Mapping[str, Any]) -> argparse.Namespace:
    """Options from keywords, by the command line's own parser: its names, types, choices and defaults hold for both.

    Raises:
        InputError: a value that the command line would refuse.
    """
    parser, words = build_parser(), []
    for name, value in keywords.items():
        option = option_name(name)
        takes = parser._option_string_actions[option].nargs
        value = value.tolist() if hasattr(value, "tolist") else value  # of arrays and tensors
        if value is None:
            continue
        if isinstance(value, bool) != (takes == 0):
            raise InputError(f"{keyword(name)} must be True or False, not {value!r}" if takes == 0 else
                             f"{keyword(name)} cannot be {value}")  # fmt: skip
        if takes == 0:
            words += [option] if value else []
        elif takes is not None and isinstance(value, list | tuple):
            words += [option, *map(str, value)]
        else:
            try:
                words.append(f"{option}={json.dumps(value) if isinstance(value, dict) else value}")
            except TypeError as error:
                raise InputError(
                    f"{name} must hold plain values ({error}); for others, give the module itself"
                ) from error
    parser.exit_on_error = False
    try:
        return parser.parse_args(words)
    except argparse.ArgumentError as error:
        named = (error.argument_name or "").removeprefix("--").replace("-", "_")
        raise InputError(f"{keyword(named)}: {error.message}") from error


def keyword(name: str) -> str:
    """The keyword of `load_explainer` for an option: its own name, but for the trained explainer."""
    return "source" if name == "explainer" else name


def option_name(name: str) -> str:
    """The option of a keyword: ``lambda_k`` -> ``--lambda-k``."""
    return "--" + name.replace("_", "-")
