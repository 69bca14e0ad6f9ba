"""Steps of the quickstart's training, timed by a callback, under the amortex of any version.

Not a benchmark by itself: `busy` and `against` run it in processes of their own.
"""

import json
import statistics
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.timing import seconds, timm_network, training_passes

try:
    from amortex.app.train_cli import main as train
except ImportError:  # version 0.1 had no folders
    from amortex.train_cli import main as train  # type: ignore

CLASSIFIER = "tf_efficientnet_lite0"  # of the quickstart
MASKS = 2  # per image and step, in the quickstart
WARM_UP = 3  # steps that are not counted


class StepClock(Callback):
    """Times whole steps, the loading of their images included, and writes the seconds of each into a file, as JSON.

    Arguments:
        file: to write.
        bare: whether to run the classifier passes of a step after each, apart from it, and to time these as well.
    """

    def __init__(self, file: str, bare: bool = False) -> None:
        self.file, self.bare = Path(file), bare
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
        self.file.write_text(json.dumps({"steps": self.steps[WARM_UP:], "passes": self.passes[WARM_UP:]}))


def run(config: str, steps: int, folder: str, bare: bool = False) -> dict[str, list[float]]:
    """Train for `steps` steps beside a few that do not count; seconds of each, and of its passes if `bare`."""
    file = Path(folder, "steps.json")
    clock = {"class_path": f"{__name__}.StepClock", "init_args": {"file": str(file), "bare": bare}}
    arguments = {
        "config": config, "trainer.max_steps": steps + WARM_UP, "trainer.limit_val_batches": 0,
        "trainer.logger": "false", "trainer.enable_checkpointing": "false", "trainer.enable_progress_bar": "false",
        "trainer.default_root_dir": folder, "trainer.callbacks": json.dumps([clock]),
    }  # fmt: skip
    status = train(["fit", *(text for name, value in arguments.items() for text in (f"--{name}", str(value)))])
    if status:
        raise RuntimeError(f"training ended with exit status {status}")
    times: dict[str, list[float]] = json.loads(file.read_text())
    return times


def step_seconds(config: str, steps: int, folder: str) -> float:
    """Median seconds of a step."""
    return statistics.median(run(config, steps, folder)["steps"])


def step_ratio(config: str, steps: int, folder: str) -> float:
    """Median of the seconds of a step over those of its classifier passes."""
    times = run(config, steps, folder, bare=True)
    return statistics.median(step / passes for step, passes in zip(times["steps"], times["passes"], strict=True))
