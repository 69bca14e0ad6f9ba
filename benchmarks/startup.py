"""How long the command line takes to start, over what it cannot spare, side by side in one run.

    python -m benchmarks startup

For docs/results.md, Speed. Each command runs in fresh processes, in turn with the others, and every ratio is the
median of the ratios within a turn. The bare work of an explanation is a process that imports torch and timm, builds
the default classifier with its weights, and runs as many of its passes as the default explanation of one photograph,
with the 64 draws of its certificate.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

import amortex
from benchmarks.processes import ROOT, script, seconds
from benchmarks.timing import with_range

CERTIFICATE_DRAWS = 64
HELP, TORCH, BARE, EXPLANATION, PANELS = (
    "explain.py --help", "import torch", "bare work of an explanation", "explain.py PHOTOGRAPH --no-panels",
    "explain.py PHOTOGRAPH",
)  # fmt: skip
AIMS = (  # of which command over which, and what the ratio should be
    (HELP, TORCH, "below 0.1"),
    (EXPLANATION, BARE, "at most 1.1"),
    (PANELS, BARE, ""),
)


class Command(NamedTuple):
    """A command, and the exit status that it must end with."""

    words: list[str]
    status: int = 0


def main(options: argparse.Namespace) -> None:
    photograph = bundled_photograph()
    size, gradients = passes(photograph)
    with tempfile.TemporaryDirectory() as folder:
        times = alternate(commands(photograph, folder, size, gradients), options.repeats)
    print(f"median of {options.repeats} turns; an explanation takes {gradients} gradients at {size} px and "
          f"{CERTIFICATE_DRAWS} draws\n")  # fmt: skip
    print("| command | seconds | over import torch [lowest, highest] |\n|---|---|---|")
    for name, values in times.items():
        print(f"| {name} | {statistics.median(values):.2f} | {ratio(values, times[TORCH])} |")
    print()
    for name, base, aim in AIMS:
        print(f"{name} over {base}: {ratio(times[name], times[base])}" + (f" (aim: {aim})" if aim else ""))


def bundled_photograph() -> Path:
    """The cat that `explain.py` explains by default."""
    return Path(str(resources.files("skimage") / "data" / "chelsea.png"))


def passes(photograph: Path) -> tuple[int, int]:
    """The size of the image, and the passes forward and backward of its default explanation."""
    explanation = amortex.load_explainer(device="cpu").explain(photograph)
    gradients = (round(explanation.extra["passes"].item()) - 1) // 3  # one forward pass besides
    return explanation.encoded.image.shape[-1], gradients


def commands(photograph: Path, folder: str, size: int, gradients: int) -> dict[str, Command]:
    """What is timed, by name."""
    search = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
    bare = f"from benchmarks.bare_explanation import run; run({size}, {gradients}, {CERTIFICATE_DRAWS})"
    explain = [str(photograph), "--out", folder, "--overwrite"]
    return {
        TORCH: python("import torch"),
        "import torch, timm": python("import torch, timm"),
        "import amortex": python(f"{search}; import amortex"),
        HELP: Command(script(ROOT, "explain.py", "--help")),
        "explain.py --mistyped": Command(script(ROOT, "explain.py", "--mistyped"), status=2),
        "explain.py MISSING": Command(script(ROOT, "explain.py", str(Path(folder, "missing.jpg"))), status=2),
        BARE: python(f"{search}; {bare}"),
        EXPLANATION: Command(script(ROOT, "explain.py", *explain, "--no-panels")),
        PANELS: Command(script(ROOT, "explain.py", *explain)),
    }


def python(code: str) -> Command:
    """A process that runs a line of Python."""
    return Command([sys.executable, "-c", code])


def alternate(given: Mapping[str, Command], repeats: int) -> dict[str, list[float]]:
    """Seconds of each command in each turn; the first turn, which reads files into memory, does not count."""
    times: dict[str, list[float]] = {name: [] for name in given}
    with tqdm(total=len(given) * (repeats + 1), disable=None) as bar:
        for turn in range(repeats + 1):
            for name, command in given.items():
                bar.set_description(name)
                taken = seconds(command.words, command.status)
                bar.update()
                if turn:
                    times[name].append(taken)
    return times


def ratio(values: Sequence[float], base: Sequence[float]) -> str:
    """Median of the ratios within a turn, and their range."""
    return with_range([value / other for value, other in zip(values, base, strict=True)], digits=3)
