"""Photographs, sounds and volumes that the tests of the commands share."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from helpers.photographs import photographs


@pytest.fixture
def two_files(tmp_path) -> list[Path]:
    photographs(tmp_path / "in", "a.png", "b.png")
    return [tmp_path / "in" / name for name in ("a.png", "b.png")]


@pytest.fixture
def signals(tmp_path, monkeypatch):
    """The current folder: two sounds and two volumes, and a bad file of both."""
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "audio").mkdir(exist_ok=True)
        (tmp_path / "volume").mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"audio/{name}.wav", random.uniform(-0.4, 0.4, 800), 16000, "FLOAT")
        np.save(tmp_path / f"volume/{name}.npy", random.random((8, 8, 8), np.float32))
    (tmp_path / "audio/bad.flac").write_text("no sound")
    (tmp_path / "volume/bad.npz").write_text("no volume")
    monkeypatch.chdir(tmp_path)
    return tmp_path
