"""Pictures for the tests that read files."""

from pathlib import Path

import numpy as np
from PIL import Image


def photographs(folder: Path, *names: str) -> Path:
    """Write different smooth pictures under these names; returns the folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(list(str(name).encode()))
        picture = Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        picture.resize((48, 40), Image.Resampling.BICUBIC).save(path)
    return folder


def write_twelve(folder: Path) -> None:
    """Twelve photographs in the folder ``photos`` of this one, always the same."""
    photographs(folder / "photos", *(f"{number}.png" for number in range(12)))
