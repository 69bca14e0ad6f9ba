"""Explainers as files."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from amortex.amortized.released import CONFIG, WEIGHTS
from amortex.training.config import RefinementConfig
from amortex.training.module import AmortizedTrainingModule
from helpers.problems import training_module


def checkpoint_content(module: AmortizedTrainingModule, step: int = 1) -> dict[str, Any]:
    """What Lightning puts into a checkpoint of this module."""
    content = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams), "global_step": step}
    module.on_save_checkpoint(content)
    return content


def write_release(folder: Path, learned_steps: int = 0) -> Path:
    """An untrained explainer of the small network, as `train.py export` writes it."""
    module = training_module(refinement=RefinementConfig(steps=learned_steps))
    folder.mkdir()
    save_file(module.predictor.decoder.state_dict(), folder / WEIGHTS)
    config = {"settings": dict(module.hparams), "identity": module.predictor.rate_distortion.identity()}
    (folder / CONFIG).write_text(json.dumps(config))
    return folder
