"""Errors in what the user gave, as one line that any terminal can show."""

import re
import textwrap

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # these break lines, or command terminals


def escape(text: object) -> str:
    """Text in one line. Control characters are escaped, and so are bytes of file names that are not UTF-8."""
    valid = str(text).encode("utf-8", "backslashreplace").decode()
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), valid)


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def reason(error: Exception) -> str:
    """The type of an error, and the first line of what it says."""
    line = (str(error).strip().splitlines() or [""])[0]
    return textwrap.shorten(f"{type(error).__name__}: {line}", 200, placeholder=" ...")


class InputError(ValueError):
    """A mistake of the user: one line says what is wrong and what to do about it."""

    def __str__(self) -> str:
        return escape(super().__str__())
