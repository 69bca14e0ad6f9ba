"""Imports point one way between the folders of the package."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import amortex

ROOT = Path(amortex.__file__).parent
# A folder imports only from folders above it; folders on one line do not import each other.
LAYERS = (
    ("core",),
    ("io",),
    ("transforms",),
    ("obfuscations",),
    ("classifiers",),
    ("rate_distortion",),
    ("explainers",),
    ("amortized",),
    ("explaining",),
    ("metrics", "data"),
    ("training", "comparison"),
    ("app",),
    ("page",),
)
LEVELS = {folder: level for level, folders in enumerate(LAYERS) for folder in folders}
FOLDERS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


def module_name(file: Path) -> str:
    parts = ("amortex", *file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(file): file for file in ROOT.rglob("*.py")}


def imported_modules(name: str) -> set[str]:
    """The modules of amortex that this module imports, anywhere in it."""
    imported = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from package import name` reads the package's `__init__` unless every name is a module
            imported |= submodules & MODULES.keys()
            if not submodules <= MODULES.keys():
                imported.add(node.module)
    return imported & MODULES.keys()


def imported_folders(folder: str) -> set[str]:
    """The other folders that a folder imports from."""
    inside = [name for name in MODULES if name.split(".")[1:2] == [folder]]
    names = set().union(*(imported_modules(name) for name in inside))
    return {name.split(".")[1] for name in names if "." in name} - {folder}


def test_every_folder_has_a_layer():
    assert sorted(LEVELS) == FOLDERS
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_from_earlier_layers(folder):
    forbidden = {name for name in imported_folders(folder) if LEVELS[name] >= LEVELS[folder]}
    assert not forbidden, f"{folder} must not import from {', '.join(sorted(forbidden))}"


def test_the_imports_are_read():
    assert imported_folders("rate_distortion") >= {"core", "transforms", "obfuscations", "classifiers"}
    assert imported_folders("app") >= {"training", "comparison"}


def test_no_modules_import_each_other():
    graph = {name: imported_modules(name) - {name} for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")
