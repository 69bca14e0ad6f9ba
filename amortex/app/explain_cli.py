"""The command line of `explain.py`."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from amortex.app.building import build, choose, device
from amortex.app.options import AMORTIZED, check, parser
from amortex.core.errors import InputError, escape
from amortex.core.process import out_of_memory, prepare
from amortex.explaining.batch import Request, explain_files, settings
from amortex.explaining.folder import Results
from amortex.explaining.results import line
from amortex.io.images import Source, find_images

BUNDLED = ("chelsea.png", "coffee.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    try:
        return run(parser().parse_intermixed_args(arguments))
    except InputError as error:
        print(f"explain.py: {error}", file=sys.stderr)
    except OSError as error:
        why = escape(error)
        print(f"explain.py: {why}; results written before are whole, the same command goes on", file=sys.stderr)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        print("explain.py: out of memory; try a smaller --internal-batch-size or --batch-size", file=sys.stderr)
    except KeyboardInterrupt:
        print("explain.py: interrupted; the same command resumes", file=sys.stderr)
        return 130
    return 2


def run(options: argparse.Namespace) -> int:
    """Explain what the options ask for; the exit status.

    Raises:
        InputError: options or inputs that cannot be used. Nothing has been written then.
    """
    out = settle(options)
    sources = find(options, out)
    prepare()
    request = build_request(options)
    request.explainer.to(device(options.device))
    results = Results(out, settings(request), options.overwrite)
    announce(options, request, len(sources), out)
    rows = explain_files(request, results.todo(sources), results, options.quiet)
    return conclude(options, request, rows, len(sources), out)


def conclude(options: argparse.Namespace, request: Request, rows: list[dict[str, Any]], total: int, out: Path) -> int:
    """Report, with what to try where a trained explainer found nothing of the class asked for; the exit status."""
    asked = options.method == AMORTIZED and request.target is not None and not options.quiet
    status = report(rows, total, out, options.quiet)
    if asked and rows and not any(row.get("retained") for row in rows):
        print("no mask keeps that class: trained explainers learn of predicted ones; try --method cartoonx")
    made = [row for row in rows if not row["error"]]
    full, lost = sum(row["rate"] > 0.9999 for row in made), sum(not row["retained"] for row in made)
    of = f"of {len(made)}"
    if full and options.max_distortion is not None and not options.quiet:
        print(f"no mask of those tried stays below that distortion for {full} {of}: theirs are full")
    if lost and options.method == AMORTIZED and options.rate is None and not (asked or options.quiet):
        print(f"{lost} {of} masks do not keep their class: try --rate 0.2 or --method cartoonx")
    return status


def settle(options: argparse.Namespace) -> Path:
    """Check the options, and choose what they leave open; returns the folder for the results."""
    check(options)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # our one line instead of its many retries
    sys.path.append(os.getcwd())  # a classifier's class path may lie in the current folder
    choose(options)
    return options.out or Path("explanations", options.method)


def find(options: argparse.Namespace, out: Path) -> list[Source]:
    """The files to explain, each once."""
    unique: dict[str, Source] = {}
    for source in find_images(options.inputs, exclude=out) if options.inputs else bundled():
        unique.setdefault(os.path.realpath(source.path), source)
    return list(unique.values())


def build_request(options: argparse.Namespace) -> Request:
    """The explainer, and what is wanted of it."""
    explainer = build(options)
    classifier = explainer.rate_distortion.classifier
    target = None if options.target == "auto" else classifier.class_index(options.target)
    explainer = explainer if target is None else explainer.for_target()
    return Request(
        explainer, options.method, target, options.certificate_samples, options.batch_size, not options.no_panels
    )


def announce(options: argparse.Namespace, request: Request, images: int, out: Path) -> None:
    """Say what is going to be explained, and at what size: trained explainers have their own."""
    if not options.quiet:
        height, width = request.explainer.rate_distortion.classifier.input_size[1:]
        what = f"{images} image{'s' * (images > 1)} by {options.method} at {width} x {height}"
        print(f"explaining {what}: {out}", flush=True)


def report(rows: list[dict[str, Any]], total: int, out: Path, quiet: bool) -> int:
    """Say what was done, list what failed; the exit status."""
    failed = [row for row in rows if row["error"]]
    if not quiet:
        for row in rows[:20]:
            if not row["error"]:
                print(line(row["file"], row))
        before = total - len(rows)
        print(f"{len(rows) - len(failed)} explained" + (f", {before} were already" if before else "") + f": {out}")
    for row in failed:
        print(f"skipped: {row['error']}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {total} files could not be explained", file=sys.stderr)
    return 0 if not failed else 2 if len(failed) == total else 1


def bundled() -> list[Source]:
    """The two photographs that come with scikit-image: a cat and a cup of espresso."""
    folder = Path(str(resources.files("skimage") / "data"))
    return [Source(folder / name, Path(name)) for name in BUNDLED]
