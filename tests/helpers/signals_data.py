"""Folders of sounds and volumes whose numbers can be read off."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import wavfile

from amortex.data import SignalData

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


def make(config: dict[str, Any], train: str | Path, **options: Any) -> SignalData:
    """The data module of a classifier's `config`, ready to be read."""
    data = SignalData(str(train), **{"workers": 0, "batch_size": 2, **options})
    data.configure(config)
    data.setup()
    return data


def archive(path: Path, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Write an ``.npz`` of random bytes of these shapes; its arrays."""
    arrays = {name: np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8) for name, shape in shapes.items()}
    np.savez_compressed(path, **arrays)
    return arrays
