"""Rate-distortion explanations of image classifiers.

`amortex.app.library.load_explainer` is the way in. The names below are imported when they are first used, so that
``import amortex`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from amortex.core.version import __version__ as __version__

if TYPE_CHECKING:
    from amortex.app.library import load_explainer as load_explainer
    from amortex.classifiers.classifier import load_classifier as load_classifier
    from amortex.core.errors import InputError as InputError
    from amortex.explainers import METHODS as METHODS

_HOMES = {
    "METHODS": "explainers", "InputError": "core.errors", "load_classifier": "classifiers.classifier",
    "load_explainer": "app.library",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'amortex' has no attribute {name!r}")
    return getattr(import_module(f"amortex.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
