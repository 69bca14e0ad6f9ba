"""Imports point one way."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import amortex

ROOT = Path(amortex.__file__).parent
# A part imports only from its own layer and those before it.
LAYERS = (
    {"files", "rows", "types", "process", "folding", "schedules", "noise", "released", "untrusted"},
    {
        "draws",
        "masks",
        "class_names",
        "classifiers",
        "weights",
        "embedded",
        "images",
        "transforms",
        "obfuscations",
        "distortions",
        "reference",
    },
    {"rate_distortion"},
    {"predictors"},
    {"explainers"},
    {"certificate"},
    {"metrics"},
    {"checkpoints", "data", "refinement", "objective", "plots", "results"},
    {"explained"},
    {"inference", "pipeline", "sharing", "validation"},
    {"training"},
    {"callbacks", "export", "packing", "comparison"},
    {"options", "building", "library", "cli", "commands", "train_cli"},
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}


def parts() -> dict[str, list[Path]]:
    """Top-level modules and subpackages with their files."""
    found: dict[str, list[Path]] = {}
    for file in ROOT.rglob("*.py"):
        name = file.relative_to(ROOT).parts[0].removesuffix(".py")
        if name != "__init__":
            found.setdefault(name, []).append(file)
    return found


def imports_of(files: list[Path]) -> set[str]:
    """Other parts of amortex that the files import, anywhere in them."""
    names = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: imports are absolute"
                module = node.module or ""
                names |= {f"{module}.{alias.name}" for alias in node.names} if module == "amortex" else {module}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("amortex.") and name != "amortex.__version__"}


@pytest.mark.parametrize("part", sorted(parts()))
def test_imports_point_to_earlier_layers(part):
    assert part in LEVEL, f"give {part} a place in LAYERS"
    later = {other for other in imports_of(parts()[part]) if LEVEL[other] > LEVEL[part]}
    assert not later, f"{part} must not import {', '.join(sorted(later))}"


def test_no_parts_import_each_other():
    graph = {part: imports_of(files) - {part} for part, files in parts().items()}
    assert graph["rate_distortion"] >= {"transforms", "types"}  # the parsing sees something
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")
