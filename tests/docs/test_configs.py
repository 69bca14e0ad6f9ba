"""Every configuration parses, alone or on top of the base it is made for."""

from pathlib import Path

import pytest
import yaml
from lightning.pytorch.cli import LightningCLI

from amortex.comparison import Comparison
from amortex.data import ImageData
from amortex.training.module import AmortizedTrainingModule

CONFIGS = Path(__file__).parents[2] / "configs"
WHOLE = ("base.yaml", "quickstart.yaml")
OTHERS = ("sweep", "compare")  # not for training
FILES = [file.relative_to(CONFIGS) for file in sorted(CONFIGS.rglob("*.yaml")) if file.parent.name not in OTHERS]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_configurations_parse(file, monkeypatch):
    parsed = {}

    class Parses(LightningCLI):
        def instantiate_classes(self) -> None:
            parsed.update(self.config["fit"].as_dict())

        def _run_subcommand(self, subcommand: str) -> None:
            pass

    layers = [str(CONFIGS / layer) for layer in ([] if file.name in WHOLE else ["base.yaml"]) + [file]]
    Parses(AmortizedTrainingModule, ImageData, args=["fit", *(a for layer in layers for a in ("--config", layer))])
    for section, values in yaml.safe_load((CONFIGS / file).read_text()).items():
        for key, value in values.items() if isinstance(values, dict) else ():
            if not isinstance(value, list | dict | float):
                assert parsed[section][key] == value


@pytest.mark.parametrize("file", sorted((CONFIGS / "compare").glob("*.yaml")), ids=lambda file: file.name)
def test_configurations_of_comparisons_parse(file):
    class Parses(LightningCLI):
        def instantiate_classes(self) -> None:
            pass

    parsed = Parses(Comparison, ImageData, args=["--config", str(file)], run=False).config
    for key, value in yaml.safe_load(file.read_text())["model"].items():
        assert (list(parsed.model[key]) if isinstance(value, list) else parsed.model[key]) == value


def test_sweeps_name_parameters_that_exist():
    for file in (CONFIGS / "sweep").glob("*.yaml"):
        sweep = yaml.safe_load(file.read_text())
        for name in sweep["parameters"]:
            section, key = name.split(".", 1)
            owner = {"model": AmortizedTrainingModule, "data": ImageData}[section]
            assert key in owner.__init__.__annotations__
