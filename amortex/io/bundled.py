"""Photographs that come with scikit-image: enough to try everything without any data."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from amortex.core.errors import InputError

HELD_OUT = ("chelsea.png", "coffee.png")  # a cat and a cup of espresso; never trained on, explained by default


@cache
def bundled_folder() -> Path:
    """Where scikit-image keeps its photographs; it is not imported for that.

    Raises:
        InputError: scikit-image is not installed.
    """
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise InputError("the bundled photographs belong to scikit-image: pip install scikit-image")
    return Path(spec.origin).parent / "data"
