"""amortex beside packages that do the same job: output distance at six rates, insertion, deletion, seconds, passes.

    OMP_NUM_THREADS=1 python -m benchmarks peers FOLDER --images 16 --out runs/peers

Behind docs/results.md, Other packages. It measures captum, grad-cam, zennit, saliency and xaitk-saliency
(``pip install 'amortex[peers]'``; those that are missing are left out) on the embedded classifier, one photograph at a
time, by the metrics of `train.py compare`. Seconds are processor time of one thread, medians over the photographs, each
method warmed up on the first one; a forward pass counts 1, forward and backward 3; finding the class is part of both.

Other packages make maps of pixels, amortex's methods orders of wavelet coefficients. So each map is read in every way
that may suit it: as an order of pixels, and mapped to coefficients as `train.py compare` does; by absolute values, and
by positive evidence alone where the method has signs. All readings are in the CSV file, and the table shows that of
each method with the lowest mean distance over the rates: a choice on the same photographs, in the packages' favour. A
run that was stopped goes on where it ended if it has a folder (`--out`).
"""

import argparse
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from tqdm import tqdm

from amortex.comparison.cache import ResultCache
from amortex.comparison.explained_batch import ExplainedBatch, TimedExplanation
from amortex.comparison.formats import as_csv, as_markdown
from amortex.comparison.methods import Method
from amortex.comparison.stopwatch import Stopwatch
from amortex.comparison.study import Study
from amortex.comparison.tables import Table
from amortex.core.errors import InputError
from amortex.core.process import prepare
from amortex.explaining.figures import png
from amortex.io.files import write_atomically
from amortex.metrics import ImageMean, InsertionDeletion, RateDistortionCurve, bootstrap_seeds
from amortex.rate_distortion.problem import Problem
from benchmarks.peer_methods import Reading, own_methods, peer_methods, readings
from benchmarks.peer_packages import PEERS
from benchmarks.peers_plot import plot
from benchmarks.quality import photographs

RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
DISTANCE, MEAN_DISTANCE = "l2@", "l2_log_area"  # columns: at a rate; mean height of the curve over log rates
SHOWN = (*(f"{DISTANCE}{rate:g}" for rate in RATES), "insertion", "deletion", "retained@0.2", "seconds", "passes")

logger = logging.getLogger(__name__)


class TimedBatch(ExplainedBatch):
    """Its seconds are processor time, which other programs do not take; each method first runs once to warm up.

    Arguments:
        image: ``(B, C, H, W)``.
        cache: where costly explanations are kept.
        warm: names of the methods that have run before.
    """

    def __init__(self, image: Tensor, cache: ResultCache, warm: set[str]) -> None:
        super().__init__(image, cache, Stopwatch())
        self.warm = warm

    def _run(self, method: Method, image: Tensor, target: Tensor | None) -> TimedExplanation:
        if method.name not in self.warm:
            method.explainer.explain(image, target)
            self.warm.add(method.name)
        start = time.process_time()
        timed = super()._run(method, image, target)
        seconds = (time.process_time() - start) / len(image)
        return replace(timed, seconds=torch.full_like(timed.seconds, seconds))


def main(options: argparse.Namespace) -> None:
    prepare()
    torch.set_num_threads(1)
    pixels = Problem(transform="pixel", input_size=options.size).build()
    wavelets = Problem(input_size=options.size).build(pixels.classifier)
    images = photographs(wavelets, options.folder, options.images).image.split(1)
    methods = [*own_methods(wavelets, pixels, options), *peer_methods(pixels, options.methods)]
    if not methods:
        raise InputError("no method is left: see --methods, and the notices about missing packages")
    studies = {
        method.name: [study(method, reading, options) for reading in readings(method, pixels, wavelets)]
        for method in methods
    }
    table = measured(images, studies, ResultCache(options.out and options.out / "cache"))
    if not table:
        raise InputError("no method is left: each has failed, see the notices")
    families = {method.name: method.kind for method in methods}
    best = {name: best_reading(table, studies[name]) for name in studies if studies[name][0].name in table}
    shown = {row: table[row] for row in best.values()}
    print(f"{options.images} photographs, {options.size} px, {options.samples} draws, one thread, "
          f"torch {torch.__version__}\n\n{as_markdown(shown, SHOWN)}\n")  # fmt: skip
    print("\n".join(verdicts(table, best, studies, families)))
    if options.out:
        write_atomically(options.out / "peers.csv", as_csv(table).encode())
        write_atomically(options.out / "peers.png", png(plot(shown, {best[name]: families[name] for name in best})))


def study(method: Method, reading: Reading, options: argparse.Namespace) -> Study:
    """What is measured of a method, read in one way."""
    metrics = (
        RateDistortionCurve(reading.rd, RATES, options.samples),
        InsertionDeletion(reading.rd, options.insertion_steps),
    )

    def evaluate(batch: ExplainedBatch) -> Tensor:
        timed = batch.explain(method)
        explanation = reading.of(timed.explanation)
        values = [metric.evaluate(explanation).double() for metric in metrics]
        return torch.cat([*values, timed.seconds[:, None], timed.passes[:, None]], 1)

    columns = (*(name for metric in metrics for name in metric.columns), "seconds", "passes")
    settings = {
        "study": "peers", "reading": reading.name, "samples": options.samples, "steps": options.insertion_steps,
        "measured_in": reading.rd.transform.settings(), **method.settings,
    }  # fmt: skip
    return Study("peers", method.name + reading.name, columns, evaluate, settings, medians=("seconds",))


def measured(images: Sequence[Tensor], studies: Mapping[str, Sequence[Study]], cache: ResultCache) -> Table:
    """Row -> column -> interval; a method that fails on a photograph is left out, with a notice."""
    means = {study.name: ImageMean(study.columns, study.medians) for group in studies.values() for study in group}
    failed: set[str] = set()
    warm: set[str] = set()
    with tqdm(total=len(images) * len(studies), disable=None) as bar:
        for image in images:
            batch = TimedBatch(image, cache, warm)
            for name, group in studies.items():
                bar.set_description(name)
                try:
                    for study in () if name in failed else group:
                        means[study.name].update(study.measure(batch).values, bootstrap_seeds(image))
                except InputError as error:
                    logger.warning("%s", error)
                    failed.add(name)
                bar.update()
    return {
        study.name: means[study.name].compute()
        for name, group in studies.items()
        if name not in failed
        for study in group
    }


def best_reading(table: Table, group: Sequence[Study]) -> str:
    """The row of a method that has the lowest mean distance."""
    return min((study.name for study in group), key=lambda row: table[row][MEAN_DISTANCE].mean)


def verdicts(
    table: Table, best: Mapping[str, str], studies: Mapping[str, Sequence[Study]], families: Mapping[str, str]
) -> Iterator[str]:
    """Who is lowest at each rate, in any reading, and how long other packages take over amortex's trained explainer."""
    rows = {side: [study.name for name in best if (name in PEERS) == side for study in studies[name]]
            for side in (False, True)}  # fmt: skip
    for rate in RATES if rows[False] and rows[True] else ():
        column = f"{DISTANCE}{rate:g}"
        ours, theirs = (min(rows[side], key=lambda row: table[row][column].mean) for side in (False, True))
        yield (
            f"{rate:.0%} kept: {table[ours][column].mean:.3f} {ours}; best of the others "
            f"{table[theirs][column].mean:.3f} {theirs}"
        )
    for own in (name for name in best if families[name] == "amortized"):
        ours = table[best[own]]
        others = {name: table[best[name]] for name in best if name in PEERS}
        ratios = (
            f"{name} takes {row['seconds'].mean / ours['seconds'].mean:.3g} times as long, at "
            f"{row[MEAN_DISTANCE].mean / ours[MEAN_DISTANCE].mean:.2f} times the mean distance"
            for name, row in others.items()
            if families[name] == "perturbation"
        )
        yield f"{own}: {'; '.join(ratios) or 'no perturbation method beside it'}"
