"""The photographs that scikit-image installs: enough to try a training without any data."""

from importlib import resources
from pathlib import Path

from PIL import Image

from amortex.data.sources import Files, ImageSource, Memory, decode

# Photographs that scikit-image installs; drawings, scans, microscopy and astronomy are left out, and so is
# motorcycle_right, the other eye of motorcycle_left.
EMBEDDED = (
    "astronaut.png", "brick.png", "camera.png", "coins.png", "grass.png", "gravel.png", "motorcycle_left.png",
    "rocket.jpg",
)  # fmt: skip
HELD_OUT = ("chelsea.png", "coffee.png")  # never trained on: the photographs that explain.py shows
# Views of each held-out photograph, as shares (left, upper, right, lower) of its sides: all, the corners, the centre.
VIEWS = (
    (0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 0.6, 0.6), (0.4, 0.0, 1.0, 0.6), (0.0, 0.4, 0.6, 1.0), (0.4, 0.4, 1.0, 1.0),
    (0.2, 0.2, 0.8, 0.8),
)  # fmt: skip


class Views:
    """The held-out photographs of scikit-image, first in full, then in the other ways of `VIEWS`; at most `count`."""

    def __init__(self, count: int) -> None:
        self.count = min(count, len(HELD_OUT) * len(VIEWS))

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        view, photograph = divmod(index, len(HELD_OUT))
        return HELD_OUT[photograph] if view == 0 else f"{HELD_OUT[photograph]}#{view}"

    def open(self, index: int) -> Image.Image:
        view, photograph = divmod(index, len(HELD_OUT))
        image = decode(str(_embedded_folder() / HELD_OUT[photograph]))
        left, upper, right, lower = VIEWS[view]
        w, h = image.size
        return image.crop((round(left * w), round(upper * h), round(right * w), round(lower * h)))


def embedded() -> ImageSource:
    """The training photographs, decoded once (7 MB)."""
    folder = _embedded_folder()
    return Memory(Files([str(folder / name) for name in EMBEDDED if (folder / name).exists()], folder), float("inf"))


def _embedded_folder() -> Path:
    return Path(str(resources.files("skimage") / "data"))
