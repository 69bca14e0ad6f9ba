"""Explainers as files."""

import json

from safetensors.torch import save_file

from amortex.amortized.checkpoints import CONFIG, WEIGHTS
from amortex.training.module import AmortizedTrainingModule

SETTINGS = {
    "classifier": "helpers.networks.TinyNet", "input_size": 32, "mean": [0.5], "std": [0.5], "levels": 2, "width": 8,
}  # fmt: skip


def write_release(folder, **settings):
    """An untrained explainer of the tiny network, as `train.py export` writes it."""
    module = AmortizedTrainingModule(**SETTINGS, **settings)
    folder.mkdir()
    save_file(module.predictor.decoder.state_dict(), folder / WEIGHTS)
    config = {"settings": dict(module.hparams), "identity": module.predictor.identity()}
    (folder / CONFIG).write_text(json.dumps(config))
    return folder
