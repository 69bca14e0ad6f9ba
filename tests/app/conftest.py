"""Photographs that the tests of the commands share."""

from pathlib import Path

import pytest

from helpers.photographs import photographs


@pytest.fixture
def two_files(tmp_path) -> list[Path]:
    photographs(tmp_path / "in", "a.png", "b.png")
    return [tmp_path / "in" / name for name in ("a.png", "b.png")]
