"""What goes wrong because of what the user gave, in one line that any terminal can show."""

import re

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # what breaks lines, and commands terminals


def escape(text: object) -> str:
    """Text in one line; control characters, and bytes of file names that are no UTF-8, are escaped."""
    valid = str(text).encode("utf-8", "backslashreplace").decode()
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), valid)


class InputError(ValueError):
    """A mistake of the user's: one line that says what is wrong and what to do about it."""

    def __str__(self) -> str:
        return escape(super().__str__())
