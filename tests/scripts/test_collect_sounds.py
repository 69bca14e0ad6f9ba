"""Sounds to train on: trimmed, resampled, cut to their loudest part; each once, and never those that amortex brings."""

import sys

import numpy as np
import pytest
import soundfile

from helpers.scripts import load_script


@pytest.fixture(scope="module")
def script():
    return load_script("collect_sounds")


def noise(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    return 0.5 * np.random.default_rng(seed).uniform(-1, 1, int(seconds * rate)).astype("float32")


def test_silent_ends_go_before_the_loudest_five_seconds_are_chosen(script, tmp_path):
    parts = [np.zeros(8000), 0.1 * noise(8, 8000), noise(3, 8000), np.zeros(80000)]
    soundfile.write(tmp_path / "a.wav", np.concatenate(parts), 8000, subtype="FLOAT")
    found = script.read(tmp_path / "a.wav")
    assert len(found) == 80000  # five seconds of 16 kHz, of 21 of 8 kHz
    assert np.abs(found[-40000:]).mean() > 5 * np.abs(found[:30000]).mean() > 0
    soundfile.write(tmp_path / "b.wav", np.concatenate([np.zeros(8000), noise(1, 8000)]), 8000, subtype="FLOAT")
    assert len(script.read(tmp_path / "b.wav")) == pytest.approx(16000, abs=2 * script.FRAME)


@pytest.mark.parametrize("samples", [np.zeros(16000), noise(0.1, 16000), np.full(16000, np.nan)])
def test_silence_and_clicks_are_left_out(script, tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    assert script.read(tmp_path / "a.wav") is None


def test_packages(script, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "packages"
    files = ("one/a.wav", "one/copy.wav", "one/perc_bell.wav", "one/voices/b.wav", "one/voices/c.wav", "two/d.wav")
    for seed, name in enumerate(files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, noise(1, 16000, seed if seed != 1 else 0), 16000)
    (folder / "two/broken.ogg").write_bytes(b"no sound")
    monkeypatch.setitem(script.MOST, "speech", 1)
    monkeypatch.setattr(sys, "argv", ["collect_sounds.py", str(folder), str(tmp_path / "out")])
    script.main()
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [name.split("__")[:2] for name in written] == [["one", "effects"], ["one", "speech"], ["two", "effects"]]
    printed = capsys.readouterr()
    assert "3 sounds in" in printed.out
    assert "broken.ogg" in printed.err
    monkeypatch.setattr(sys, "argv", ["collect_sounds.py", str(tmp_path / "nowhere"), "out"])
    with pytest.raises(SystemExit, match="2"):
        script.main()
