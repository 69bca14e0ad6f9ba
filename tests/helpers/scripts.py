"""The scripts of the repository as modules."""

import importlib.util
from types import ModuleType

from helpers.training import ROOT


def load_script(name: str) -> ModuleType:
    """The module ``scripts/NAME.py``, which no package holds."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"scripts/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
