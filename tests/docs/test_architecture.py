"""The functions that the data pass, as the architecture page lists them, exist, and lead through each folder once."""

import re
from importlib import import_module
from itertools import groupby
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")
CORE = {"rate_distortion", "transforms", "obfuscations", "classifiers"}
TABLES = [re.findall(r"^\| \d+ \| `([\w.]+:[\w.]+)`", part, re.MULTILINE) for part in PAGE.split("A training batch")]


@pytest.mark.parametrize("stop", [stop for table in TABLES for stop in table])
def test_the_function_exists(stop):
    module, _, name = stop.partition(":")
    found = import_module(f"amortex.{module}")
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found)


def test_few_stops_and_no_return_to_a_folder():
    assert [10 <= len(table) <= 20 for table in TABLES] == [True, True]
    for table in TABLES:
        folders = [stop.split(".")[0] for stop in table]
        rooms = [room for room, _ in groupby("core" if folder in CORE else folder for folder in folders)]
        assert len(rooms) == len(set(rooms)), rooms
