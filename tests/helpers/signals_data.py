"""Folders of sounds and volumes whose numbers can be read off."""

from pathlib import Path

import numpy as np
from scipy.io import wavfile

SOUND = {"input_size": (1, 400), "sample_rate": 8000, "mean": (0.0,), "std": (1.0,)}
VOLUME = {"input_size": (1, 8, 8, 8), "mean": (0.0,), "std": (1.0,)}


def write_sounds(folder: Path, lengths: list[int], rate: int = 8000) -> Path:
    """Sound number n is the ramp of that number, with the n-th of the lengths."""
    for number, length in enumerate(lengths):
        file = folder / "ab"[number % 2] / f"{number}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        wavfile.write(file, rate, ramp(number, length))
    return folder


def ramp(number: int, length: int) -> np.ndarray:
    """Rises from 0.1 x (number + 1) by a ten-thousandth per sample, so that a part tells where it is from."""
    return (0.1 * (number + 1) + 1e-4 * np.arange(length)).astype(np.float32)


def write_volumes(folder: Path, count: int) -> Path:
    """Volume number n is constant in n / 255."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        np.save(folder / f"{number}.npy", np.full((8, 8, 8), number, np.uint8))
    return folder
