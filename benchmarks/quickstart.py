"""The quickstart's training, run by the `train.py` of a checkout of any version, and timed.

Not a benchmark by itself: `busy` and `against` measure with it.
"""

import json
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.processes import busy_loops, run, under

WARM_UP = 3  # steps that do not count
# train.py itself, because it sets up the process before it imports anything
RUN = "import runpy; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"


def train(
    checkout: Path,
    steps: int,
    environment: Mapping[str, str] | None = None,
    bare: bool = False,
    config: Path | None = None,
) -> dict[str, list[float]]:
    """Seconds of each of `steps` training steps, and of their classifier passes if `bare`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "steps.json")
        clock = {"class_path": "benchmarks.step_clock.StepClock", "init_args": {"file": str(file), "bare": bare}}
        options = {
            "config": config or checkout / "configs/quickstart.yaml", "trainer.max_steps": steps + WARM_UP,
            "trainer.limit_val_batches": 0, "trainer.logger": "false", "trainer.enable_checkpointing": "false",
            "trainer.enable_progress_bar": "false", "trainer.default_root_dir": folder,
            "trainer.callbacks": json.dumps([clock]),
        }  # fmt: skip
        words = [f"--{name}={value}" for name, value in options.items()]
        run([*under(checkout, RUN), str(checkout / "train.py"), "fit", *words], environment=environment)
        times: dict[str, list[float]] = json.loads(file.read_text())
    return {name: values[WARM_UP:] for name, values in times.items()}


def step_over_passes(checkout: Path, steps: int) -> float:
    """A training step over its classifier passes: the median of the ratios."""
    times = train(checkout, steps, bare=True)
    return statistics.median(step / passes for step, passes in zip(times["steps"], times["passes"], strict=True))


def alone_and_beside(checkout: Path, environment: Mapping[str, str], steps: int, loops: int = 1) -> tuple[float, float]:
    """Median seconds of a training step: alone, and beside so many busy processes."""
    alone = statistics.median(train(checkout, steps, environment)["steps"])
    with busy_loops(loops):
        return alone, statistics.median(train(checkout, steps, environment)["steps"])
