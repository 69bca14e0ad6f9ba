"""Every configuration parses, alone or on top of the base it is made for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning.pytorch.cli import LightningCLI

from amortex.app.lightning_cli import TrainCLI
from amortex.comparison import Comparison
from amortex.data import SignalData
from amortex.training.module import AmortizedTrainingModule

CONFIGS = Path(__file__).parents[2] / "configs"
WHOLE = ("base.yaml", "quickstart.yaml", "audio.yaml", "volume.yaml")
OTHERS = ("sweep", "compare")  # not for training
FILES = [file.relative_to(CONFIGS) for file in sorted(CONFIGS.rglob("*.yaml")) if file.parent.name not in OTHERS]


class Parses(LightningCLI):
    """Parses, and does nothing."""

    def instantiate_classes(self) -> None: ...
    def _run_subcommand(self, subcommand: str) -> None: ...


class ParsesTraining(Parses):
    """The same with the options of `train.py fit` that are not Lightning's."""

    add_arguments_to_parser = TrainCLI.add_arguments_to_parser


def parse_fit(*arguments: str) -> Any:
    return ParsesTraining(AmortizedTrainingModule, SignalData, args=["fit", *arguments]).config["fit"]


def leaves(settings: dict[str, Any], parsed: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested settings; lists of the trainer hold classes, and are left out.

    A setting that is parsed as a table is a value.
    """
    for key, value in settings.items():
        if isinstance(value, dict) and not isinstance(parsed[prefix + key], dict):
            yield from leaves(value, parsed, f"{prefix}{key}.")
        elif not (prefix == "trainer." and isinstance(value, list)):
            yield prefix + key, value


def assert_holds(parsed: Any, file: Path) -> None:
    """Every setting of the file has arrived."""
    for name, value in leaves(yaml.safe_load(file.read_text(encoding="utf-8")), parsed):
        arrived = parsed[name]
        assert (list(arrived) if isinstance(value, list) else arrived) == value, name


@pytest.mark.parametrize("file", FILES, ids=str)
def test_configurations_parse(file):
    layers = [CONFIGS / layer for layer in ([] if file.name in WHOLE else ["base.yaml"]) + [file]]
    assert_holds(parse_fit(*(word for layer in layers for word in ("--config", str(layer)))), layers[-1])


@pytest.mark.parametrize("file", sorted((CONFIGS / "compare").glob("*.yaml")), ids=lambda file: file.name)
def test_configurations_of_comparisons_parse(file):
    assert_holds(Parses(Comparison, SignalData, args=["--config", str(file)], run=False).config, file)


@pytest.mark.parametrize("file", sorted((CONFIGS / "sweep").glob("*.yaml")), ids=lambda file: file.name)
def test_sweeps_name_parameters_that_exist(file):
    for name, choice in yaml.safe_load(file.read_text(encoding="utf-8"))["parameters"].items():
        value = choice["values"][0] if "values" in choice else choice["min"]
        assert parse_fit("--config", str(CONFIGS / "base.yaml"), f"--{name}={value}")[name] == value
