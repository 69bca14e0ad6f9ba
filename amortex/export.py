"""Releases: a trained explainer as safetensors and JSON, small enough to ship, readable without executing code."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save

from amortex.checkpoints import CONFIG, WEIGHTS, load_predictor, read
from amortex.results import write_atomically


def release(checkpoint: Path, folder: Path) -> None:
    """Write the averaged weights of a checkpoint (or a release again) into a release folder.

    Raises:
        InputError: the checkpoint is missing, broken or no explainer.
    """
    settings, identity, weights = read(checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS, save({key: value.contiguous() for key, value in weights.items()}))
    config: dict[str, Any] = {"settings": settings, "identity": identity}
    write_atomically(folder / CONFIG, json.dumps(config, indent=2).encode())


def main(arguments: Sequence[str]) -> int:
    """The command line of ``train.py export``."""
    parser = argparse.ArgumentParser(prog="train.py export", description="Write a release of a trained explainer.")
    parser.add_argument("checkpoint", type=Path, help="a run's checkpoint")
    parser.add_argument("folder", type=Path, help="where the release goes")
    options = parser.parse_args(arguments)
    release(options.checkpoint, options.folder)
    predictor = load_predictor(options.folder)  # what was written can be read
    size = (options.folder / WEIGHTS).stat().st_size / 2**20
    print(f"explainer of {predictor.rate_distortion.classifier.name}, {size:.1f} MiB: {options.folder}")
    return 0
