"""What `explain.py` and ``train.py explain`` share: files are found, the explainer is built, the outcome is printed."""

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from amortex.app.building import device, explainer_from
from amortex.app.checks import check_files, default_folder
from amortex.app.keywords import option_name
from amortex.app.options import AMORTIZED, METHOD_OPTIONS
from amortex.app.recognising import check_dims, sources_of
from amortex.core.modalities import MODALITIES
from amortex.core.process import prepare
from amortex.explaining.batch import Request, explain_files
from amortex.explaining.folder import ResultsFolder
from amortex.explaining.rendering import summary_line
from amortex.explaining.rows import Row
from amortex.io.finding import Source
from amortex.rate_distortion.caveats import FULL_RATE, IMPROBABLE

MOST_LINES = 20  # inputs that are reported one by one
DIGITS = "digits3d"  # the default of volumes, which knows little of those that people bring


def explain_inputs(options: argparse.Namespace) -> int:
    """Explain what completed options ask for, in this process; the exit status."""
    prepare()
    request = build_request(options)
    sources = find_sources(options)
    request.explainer.to(device(options.device))
    results = ResultsFolder(options.out, request.settings(), options.overwrite)
    print_plan(options, request, len(sources))
    with results.removed_if_empty():
        printer = RowPrinter(len(sources))
        print_row = None if options.quiet else printer
        rows = explain_files(request, results.remaining(sources), results, options.quiet, print_row)
    return print_outcome(options, request, rows, len(sources), printer.printed)


class RowPrinter:
    """Prints rows as they come: the first ones, and then one of every tenth of all.

    Arguments:
        total: how many rows there are going to be.
    """

    def __init__(self, total: int) -> None:
        self.every, self.number, self.printed = max(1, total // 10), 0, 0

    def __call__(self, row: Row) -> None:
        if row["error"]:
            return
        self.number += 1
        if self.number <= MOST_LINES or self.number % self.every == 0:
            self.printed += 1
            with tqdm.external_write_mode():  # above the bar
                print(summary_line(row["file"], row), flush=True)


def find_sources(options: argparse.Namespace) -> list[Source]:
    """The inputs to explain, each once, when the modality is known."""
    unique: dict[str, Source] = {}
    for source in sources_of(options.inputs, MODALITIES[options.modality], options.out):
        unique.setdefault(os.path.realpath(source.path), source)
    return list(unique.values())


def build_request(options: argparse.Namespace) -> Request:
    """The explainer, and what is wanted of it; notes the modality, and the folder for the results."""
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # our one line instead of its many retries
    sys.path.append(os.getcwd())  # a classifier's class path may lie in the current folder
    explainer = explainer_from(options)
    classifier = explainer.rate_distortion.classifier
    check_dims(options, classifier.name, len(classifier.signal_config["input_size"]) - 1)
    options.out = options.out or default_folder(options)
    check_files(options)
    target = None if options.target == "auto" else classifier.class_index(options.target)
    explainer = explainer if target is None else explainer.for_target()
    return Request(
        explainer, options.method, target, options.certificate_samples, options.batch_size, not options.no_panels
    )


def print_plan(options: argparse.Namespace, request: Request, count: int) -> None:
    """Print what is going to be explained, and at what size: trained explainers have their own."""
    if not options.quiet:
        classifier = request.explainer.rate_distortion.classifier
        size = " x ".join(map(str, classifier.input_size[1:]))  # as --input-size takes it
        longest = "up to " if classifier.signal_config.get("lengths") else ""
        modality = MODALITIES[options.modality]
        size += f" {modality.unit}" * (len(classifier.input_size[1:]) == 1)  # a number alone tells little
        noun = modality.noun + ("s" if count > 1 else "")
        remark = " (no weights given: those of its constructor)" if classifier.weights == "auto" else ""
        if options.inputs and (classifier.name, classifier.weights) == (DIGITS, "embedded"):
            remark = " (which knows only the digits 0 to 9)"
        decided = f"by {options.method}, for {classifier.name}{remark} at {longest}{size}"
        print(f"explaining {count} {noun} {decided}: {options.out}", flush=True)
        if reason := getattr(options, "untrained_for", ()):
            given = " and ".join(map(option_name, reason))
            steps = f"{options.method} takes {request.explainer.steps:,} steps instead"
            print(f"the bundled explainer was not trained for {given}: {steps}", flush=True)


def print_outcome(
    options: argparse.Namespace, request: Request, rows: list[Row], total: int, printed: int | None = None
) -> int:
    """Print the first rows unless so many were `printed`, and what to try where masks are not what one hopes for.

    Returns:
        The exit status.
    """
    status = print_rows(rows, total, options.out, options.quiet, printed)
    if not options.quiet:
        for hint in hints(options, request, [row for row in rows if not row["error"]]):
            print(hint)
    return status


def hints(options: argparse.Namespace, request: Request, rows: list[Row]) -> Iterator[str]:
    """What to try where masks lose their class, or do not hold the bound that was asked for; and what is doubtful.

    Arguments:
        options: that were asked for.
        request: what was made of them.
        rows: of the images that were explained.
    """
    of_all, has = f"of {len(rows)}", METHOD_OPTIONS[options.method]
    bounded = options.max_distortion is not None or options.min_retention is not None
    if bounded and (full := sum(row["rate"] > FULL_RATE for row in rows)):
        yield f"no mask of those tried holds that bound for {full} {of_all}: theirs are full"
    short = sum(row["retention_low"] < (options.min_retention or 0) for row in rows)
    if short:  # the search has shown it, but on other draws
        yield f"{short} {of_all} certificates do not show that retention: compare the intervals"
    lost_rows = [row for row in rows if not row["retained"]]
    absent = [row for row in lost_rows if request.target is not None and row["probability"] < IMPROBABLE]
    if absent and not bounded:
        shows = "inputs hardly show" if len(absent) > 1 else "input hardly shows"
        yield f"{len(absent)} {of_all} {shows} that class to the classifier: there may be nothing of it to find"
    lost = len(lost_rows) - len(absent)
    if lost and not bounded:
        verb = "do not keep their" if request.target is None else "do not reach that"
        where = ""
        if lost == 1:
            verb = "does not keep its" if request.target is None else "does not reach that"
            where = " ({})".format(*(row["file"] for row in lost_rows if row not in absent))
        ways = ["more --steps"] * (options.steps is not None)
        ways += ["a lower --lambda-k"] * ("lambda_k" in has and options.rate is None)
        ways += ["a higher --rate"] * ("rate" in has)
        ways += ["--passes 64"] * _takes_more_passes(options, request)
        ways += ["--min-retention 0.95"] * (request.target is None)
        ways += ["--method cartoonx"] * (options.method == AMORTIZED and request.target is not None)
        elsewhere = ", with another --out"
        yield f"{lost} {of_all} masks {verb} class{where}" + f": try {' or '.join(ways)}{elsewhere}" * bool(ways)
    others = [row for row in rows if row["retained"] and row["kept_class"] != row["class_name"]]
    is_heard = options.modality == "audio" and options.domain != "mel"
    if is_heard and others and options.obfuscation != "zero":
        in_noise = options.obfuscation not in (None, "fading") and "preset" in has
        way = ": masks of --obfuscation fading, the default, hold in silence, too" * in_noise
        yield f"{len(others)} {of_all} sounds are of another class if what is kept is heard alone{way}"
    doubtful = sum(bool(row["caveats"]) for row in rows)
    if doubtful and len(rows) > MOST_LINES:
        yield f"{doubtful} {of_all} certificates are doubtful: the column caveats of {options.out}/summary.csv says why"


def _takes_more_passes(options: argparse.Namespace, request: Request) -> bool:
    """Whether learned steps explain, and how many was left open."""
    explainer = request.explainer
    is_open = options.passes is None and options.learned_steps is None and not options.finetune_steps
    return is_open and getattr(explainer, "learned_steps", 0) > 0


def print_rows(rows: list[Row], total: int, out: Path, quiet: bool, printed: int | None = None) -> int:
    """Print what was explained, unless so many rows were `printed`, and what could not be; the exit status."""
    failed, explained = ([row for row in rows if bool(row["error"]) == wrong] for wrong in (True, False))
    if not quiet:
        if printed is None:
            printed = min(len(explained), MOST_LINES)
            for row in explained[:printed]:
                print(summary_line(row["file"], row))
        before, unlisted = total - len(rows), len(explained) - printed
        more = f" ({unlisted} of them are not listed above: summary.csv has all)" if unlisted else ""
        print(f"{len(explained)} explained{more}" + (f", {before} were already" if before else "") + f": {out}")
    for row in failed:
        print(f"skipped: {row['error']}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {total} files could not be explained", file=sys.stderr)
    return 0 if not failed else 2 if len(failed) == total else 1
