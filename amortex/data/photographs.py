"""The photographs that scikit-image installs: enough to try training without any data."""

from PIL import Image

from amortex.data.sources import CachedSource, FileSource, SignalSource, decode
from amortex.io.bundled import HELD_OUT, bundled_folder

# Drawings, scans, microscopy and astronomy are left out, and so is motorcycle_right, which shows what
# motorcycle_left shows.
EMBEDDED = (
    "astronaut.png", "brick.png", "camera.png", "coins.png", "grass.png", "gravel.png", "motorcycle_left.png",
    "rocket.jpg",
)  # fmt: skip
# (left, upper, right, lower) of each view as shares of a photograph's sides: all of it, the corners, the centre.
VIEWS = (
    (0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 0.6, 0.6), (0.4, 0.0, 1.0, 0.6), (0.0, 0.4, 0.6, 1.0), (0.4, 0.4, 1.0, 1.0),
    (0.2, 0.2, 0.8, 0.8),
)  # fmt: skip


class HeldOutViews:
    """Views of the held-out photographs, at most `count`: first each in full, then the next of `VIEWS` of each."""

    def __init__(self, count: int) -> None:
        self.count = min(count, len(HELD_OUT) * len(VIEWS))

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        view, photograph = divmod(index, len(HELD_OUT))
        return HELD_OUT[photograph] if view == 0 else f"{HELD_OUT[photograph]}#{view}"

    def open(self, index: int) -> Image.Image:
        view, photograph = divmod(index, len(HELD_OUT))
        image = decode(str(bundled_folder() / HELD_OUT[photograph]))
        left, upper, right, lower = VIEWS[view]
        width, height = image.size
        return image.crop((round(left * width), round(upper * height), round(right * width), round(lower * height)))


def embedded_photographs() -> SignalSource:
    """The training photographs, decoded once (7 MB)."""
    folder = bundled_folder()
    files = FileSource([str(folder / name) for name in EMBEDDED if (folder / name).exists()], folder)
    return CachedSource(files, limit=float("inf"))
