"""Rate-distortion explanations of image classifiers.

`amortex.library.load_explainer` is the way in. The names below are imported when they are first used, so that
``import amortex`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amortex.classifiers import load_classifier as load_classifier
    from amortex.explainers import METHODS as METHODS
    from amortex.library import load_explainer as load_explainer
    from amortex.types import InputError as InputError

__version__ = "0.1.0"
_HOMES = {"METHODS": "explainers", "InputError": "types", "load_classifier": "classifiers", "load_explainer": "library"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'amortex' has no attribute {name!r}")
    return getattr(import_module(f"amortex.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
