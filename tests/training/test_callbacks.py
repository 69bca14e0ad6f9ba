"""Callbacks are found by their class paths, and import only what they need."""

import subprocess
import sys

import pytest

NAMES = ("Checkpoints", "FitSummary", "LastCheckpoint", "PanelLogger", "ReportLogger")


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in ("FitSummary", "PanelLogger")]
)  # timm imports wandb
def test_a_callback_is_found_without_importing_wandb(name):
    code = (
        "import sys; from importlib import import_module;"
        f"getattr(import_module('amortex.training.callbacks'), '{name}');"
        "sys.exit('wandb' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_lists_its_callbacks():
    from amortex.training import callbacks

    assert tuple(sorted(callbacks.__all__)) == NAMES
