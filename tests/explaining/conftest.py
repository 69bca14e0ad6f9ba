"""A folder of photographs and one for results, which the tests of results share."""

from pathlib import Path

import pytest

from helpers.photographs import photographs
from helpers.results import NAMES


@pytest.fixture
def three(tmp_path) -> Path:
    return photographs(tmp_path / "in", *NAMES)


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"
