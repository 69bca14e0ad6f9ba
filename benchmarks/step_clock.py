"""A callback that times the steps of a training, under the amortex of any version.

Not a benchmark by itself: `benchmarks.quickstart` hands it to `train.py`.
"""

import json
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.timing import seconds, timm_network, training_passes

CLASSIFIER = "tf_efficientnet_lite0"  # of the quickstart
MASKS = 2  # per image and step, in the quickstart


class StepClock(Callback):
    """Times whole steps, the loading of their images included, and writes the seconds of each into a file, as JSON.

    Arguments:
        file: to write.
        bare: whether to run the classifier passes of a step after each, apart from it, and to time these as well.
    """

    def __init__(self, file: str, bare: bool = False) -> None:
        self.file = Path(file)
        self.steps: list[float] = []
        self.passes: list[float] = []
        self.start = 0.0
        self.model = timm_network(CLASSIFIER) if bare else None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_index: int
    ) -> None:
        self.steps.append(time.perf_counter() - self.start)
        if self.model is not None:
            self.passes.append(seconds(training_passes(self.model, batch["image"], MASKS, informed=True)))
        self.start = time.perf_counter()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.file.write_text(json.dumps({"steps": self.steps, "passes": self.passes}))
