"""What `explain.py` and ``train.py explain`` share: files are found, the explainer is built, the outcome is printed."""

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import Any

from amortex.app.building import device, explainer_from
from amortex.app.options import AMORTIZED
from amortex.core.process import prepare
from amortex.explaining.batch import Request, explain_files
from amortex.explaining.folder import ResultsFolder
from amortex.explaining.rendering import summary_line
from amortex.io.bundled import HELD_OUT, bundled_folder
from amortex.io.images import Source, find_images

FULL_RATE = 0.9999  # masks above this rate drop nothing
MOST_LINES = 20  # images that are reported one by one


def explain_inputs(options: argparse.Namespace) -> int:
    """Explain what completed options ask for, in this process; the exit status."""
    sources = find_sources(options)
    prepare()
    request = build_request(options)
    request.explainer.to(device(options.device))
    results = ResultsFolder(options.out, request.settings(), options.overwrite)
    print_plan(options, request, len(sources))
    rows = explain_files(request, results.remaining(sources), results, options.quiet)
    return print_outcome(options, request, rows, len(sources))


def find_sources(options: argparse.Namespace) -> list[Source]:
    """The files to explain, each once."""
    unique: dict[str, Source] = {}
    for source in find_images(options.inputs, exclude=options.out) if options.inputs else bundled_photographs():
        unique.setdefault(os.path.realpath(source.path), source)
    return list(unique.values())


def bundled_photographs() -> list[Source]:
    """The photographs that are explained where none are given, under their names."""
    return [Source(bundled_folder() / name, Path(name), name) for name in HELD_OUT]


def build_request(options: argparse.Namespace) -> Request:
    """The explainer, and what is wanted of it."""
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # our one line instead of its many retries
    sys.path.append(os.getcwd())  # a classifier's class path may lie in the current folder
    explainer = explainer_from(options)
    classifier = explainer.rate_distortion.classifier
    target = None if options.target == "auto" else classifier.class_index(options.target)
    explainer = explainer if target is None else explainer.for_target()
    return Request(
        explainer, options.method, target, options.certificate_samples, options.batch_size, not options.no_panels
    )


def print_plan(options: argparse.Namespace, request: Request, images: int) -> None:
    """Print what is going to be explained, and at what size: trained explainers have their own."""
    if not options.quiet:
        size = " x ".join(map(str, reversed(request.explainer.rate_distortion.classifier.input_size[1:])))
        plural = "s" if images > 1 else ""
        print(f"explaining {images} image{plural} by {options.method} at {size}: {options.out}", flush=True)


def print_outcome(options: argparse.Namespace, request: Request, rows: list[dict[str, Any]], total: int) -> int:
    """Print the rows, and what to try where a trained explainer found no mask for the class; the exit status."""
    status = print_rows(rows, total, options.out, options.quiet)
    if options.quiet:
        return status
    asked_class = options.method == AMORTIZED and request.target is not None
    if asked_class and rows and not any(row.get("retained") for row in rows):
        print("no mask keeps that class: trained explainers learn of predicted ones; try --method cartoonx")
    explained = [row for row in rows if not row["error"]]
    full, lost = sum(row["rate"] > FULL_RATE for row in explained), sum(not row["retained"] for row in explained)
    if full and options.max_distortion is not None:
        print(f"no mask of those tried stays below that distortion for {full} of {len(explained)}: theirs are full")
    if lost and options.method == AMORTIZED and options.rate is None and not asked_class:
        print(f"{lost} of {len(explained)} masks do not keep their class: try --rate 0.2 or --method cartoonx")
    return status


def print_rows(rows: list[dict[str, Any]], total: int, out: Path, quiet: bool) -> int:
    """Print what was explained, and what could not be; the exit status."""
    failed = [row for row in rows if row["error"]]
    if not quiet:
        for row in rows[:MOST_LINES]:
            if not row["error"]:
                print(summary_line(row["file"], row))
        before = total - len(rows)
        print(f"{len(rows) - len(failed)} explained" + (f", {before} were already" if before else "") + f": {out}")
    for row in failed:
        print(f"skipped: {row['error']}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {total} files could not be explained", file=sys.stderr)
    return 0 if not failed else 2 if len(failed) == total else 1
