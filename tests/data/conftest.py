"""The folder of images that the tests of the data share."""

from pathlib import Path

import pytest

from helpers.data import picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Ten images, in the folders a and b; image number n has n in green."""
    path = tmp_path_factory.mktemp("photos")
    for number in range(10):
        file = path / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        picture(number).save(file)
    return path
