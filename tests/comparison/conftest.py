"""A folder that comparisons run in."""

import pytest

from helpers.photographs import photographs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    photographs(tmp_path / "photos", *(f"{i}.png" for i in range(5)))
    monkeypatch.chdir(tmp_path)
    return tmp_path
