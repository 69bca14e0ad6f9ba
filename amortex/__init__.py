"""Rate-distortion explanations of image classifiers.

`load_explainer` is the way in. Names are imported when they are first used, so that ``import amortex`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amortex.classifiers import load_classifier
    from amortex.explainers import METHODS
    from amortex.library import load_explainer
    from amortex.types import InputError

__version__ = "0.1.0"
__all__ = ["METHODS", "InputError", "load_classifier", "load_explainer"]
_HOMES = {
    "METHODS": "amortex.explainers",
    "InputError": "amortex.types",
    "load_classifier": "amortex.classifiers",
    "load_explainer": "amortex.library",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'amortex' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
