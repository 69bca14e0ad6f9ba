"""This checkout against another one, such as that of a release: figures of speed, side by side in one run.

    python -m benchmarks against CHECKOUT [--busy] [--suite]

For docs/results.md, Speed. Each figure is measured in fresh processes, the two checkouts in turn, and the last column
is the median of the ratios within a turn. Both use the libraries of this environment. The other checkout may be of any
version from 0.1 on.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from benchmarks.processes import DEFAULT_THREADS, ROOT, number, script, seconds, threads, under
from benchmarks.quickstart import alone_and_beside, step_over_passes
from benchmarks.startup import bundled_photograph

Figure = Callable[[Path], float]  # of a checkout


def main(options: argparse.Namespace) -> None:
    print(f"{options.checkout} (before) and {ROOT} (after), medians of {options.repeats} turns\n")
    print("| figure | before | after | after / before |\n|---|---|---|---|", flush=True)
    for name, figure in figures(options).items():
        print_row(name, in_turn(name, figure, options.checkout, options.repeats, warm_up=1))
    if options.suite:
        print_row("test suite (s)", in_turn("test suite", suite, options.checkout, repeats=1, warm_up=0))


def figures(options: argparse.Namespace) -> dict[str, Figure]:
    """What is measured, by name."""
    measured: dict[str, Figure] = {
        "explain.py --help (s)": lambda path: seconds(script(path, "explain.py", "--help")),
        "import amortex (s)": lambda path: seconds(under(path, "pass")),
        "first explanation (s)": first_explanation,
        "CartoonX step over bare work": lambda path: number(cartoonx(path, options.size)),
        "training step over bare work": lambda path: step_over_passes(path, options.steps),
    }
    if options.busy:
        measured["training step beside a busy loop over alone"] = lambda path: slowdown(path, options.steps)
    return measured


def first_explanation(path: Path) -> float:
    """Seconds that `explain.py` takes for one bundled photograph."""
    with tempfile.TemporaryDirectory() as folder:
        return seconds(script(path, "explain.py", str(bundled_photograph()), "--no-panels", "--out", folder))


def cartoonx(path: Path, size: int) -> list[str]:
    """The command that prints the ratio of a CartoonX step."""
    return under(path, f"from benchmarks.cartoonx_step import step_ratio; print(step_ratio({size}, repeats=3))")


def slowdown(path: Path, steps: int) -> float:
    """A training step beside one busy loop over one alone, with the threads that amortex chooses."""
    alone, beside = alone_and_beside(path, threads(DEFAULT_THREADS), steps)
    return beside / alone


def suite(path: Path) -> float:
    """Seconds of a checkout's tests."""
    return seconds([sys.executable, "-m", "pytest", "-q"], folder=path)  # the current folder comes first on the path


def in_turn(name: str, figure: Figure, other: Path, repeats: int, warm_up: int) -> list[tuple[float, float]]:
    """The figure of the other checkout and of this one, in turn; who is first alternates."""
    pairs = []
    for turn in tqdm(range(repeats + warm_up), desc=name, leave=False, disable=None):
        order = (other, ROOT) if turn % 2 else (ROOT, other)
        values = {path: figure(path) for path in order}
        if turn >= warm_up:
            pairs.append((values[other], values[ROOT]))
    return pairs


def print_row(name: str, pairs: list[tuple[float, float]]) -> None:
    """A row of the table."""
    before, after = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(after / before for before, after in pairs)
    print(f"| {name} | {before:.3f} | {after:.3f} | {ratio:.3f} |", flush=True)
