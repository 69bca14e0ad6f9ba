"""Signals that come with amortex and scikit-image: enough to try everything without any data."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from amortex.core.errors import InputError

HELD_OUT = ("chelsea.png", "coffee.png")  # a cat and a cup of espresso; never trained on, explained by default
SHORT_SOUNDS = ("crow.flac", "burp.flac")  # CartoonX takes minutes for each of the longer ones on two cores
ASSETS = Path(__file__).parents[1] / "assets"
FOLDERS = {"audio": ASSETS / "sounds", "volume": ASSETS / "volumes"}


@cache
def bundled_folder(modality: str = "image") -> Path:
    """Where the bundled signals of a kind are; scikit-image, which brings the photographs, is not imported for that.

    Raises:
        InputError: scikit-image is not installed.
    """
    if modality != "image":
        return FOLDERS[modality]
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise InputError("the bundled photographs belong to scikit-image: pip install scikit-image")
    return Path(spec.origin).parent / "data"


def bundled_names(modality: str) -> tuple[str, ...]:
    """The files of the folder that are explained by default; none where that is all of them."""
    return {"image": HELD_OUT, "audio": SHORT_SOUNDS}.get(modality, ())
