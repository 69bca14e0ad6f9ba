"""The command line of `explain.py`."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from amortex.building import build, build_amortized
from amortex.images import Source, find_images
from amortex.inference import Request, explain_files, settings
from amortex.options import AMORTIZED, check, own_weights, parser
from amortex.process import out_of_memory, prepare
from amortex.released import released
from amortex.results import Results
from amortex.types import InputError, escape

BUNDLED = ("chelsea.png", "coffee.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parser().parse_intermixed_args(arguments)
    try:
        return run(options)
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
    check(options)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # our one line instead of its many retries
    sys.path.append(os.getcwd())  # a classifier's class path may lie in the current folder
    choose(options)
    out = options.out or Path("explanations", options.method)
    unique: dict[str, Source] = {}
    for source in find_images(options.inputs, exclude=out) if options.inputs else bundled():
        unique.setdefault(os.path.realpath(source.path), source)
    sources = list(unique.values())
    prepare()
    explainer = (build_amortized if options.method == AMORTIZED else build)(options).to(device(options.device))
    classifier = explainer.rate_distortion.classifier
    target = None if options.target == "auto" else classifier.class_index(options.target)
    request = Request(
        explainer, options.method, target, options.certificate_samples, options.batch_size, not options.no_panels
    )
    results = Results(out, settings(request), options.overwrite)
    if not options.quiet:
        print(f"explaining {len(sources)} image{'s' * (len(sources) > 1)} by {options.method}: {out}", flush=True)
    rows = explain_files(request, sources, results, options.quiet)
    return report(rows, len(sources), out, options.quiet)


def choose(options: argparse.Namespace) -> None:
    """Settle method and trained explainer where they are left open: in one pass, if there is an explainer for that.

    Raises:
        InputError: there is none, or the method needs none.
    """
    if options.method in (None, AMORTIZED) and options.explainer is None and own_weights(options):
        options.explainer = released(options.classifier)
    options.method = options.method or ("cartoonx" if options.explainer is None else AMORTIZED)
    if options.method == AMORTIZED and options.explainer is None:
        raise InputError(f"there is no explainer for {options.classifier}: train one, and give --explainer FILE")
    if options.method != AMORTIZED and options.explainer is not None:
        raise InputError(f"{options.method} needs no --explainer: leave one of them out")


def report(rows: list[dict[str, Any]], total: int, out: Path, quiet: bool) -> int:
    """Say what was done, list what failed; the exit status."""
    failed = [row for row in rows if row["error"]]
    if not quiet:
        for row in rows[:20]:
            if not row["error"]:
                print(
                    f"{row['file']}: {escape(row['class_name'])} {row['probability']:.1%}, rate {row['rate']:.2%}, "
                    f"distortion ({row['measure']}) {row['distortion']:.4f} [{row['ci_low']:.4f}, "
                    f"{row['ci_high']:.4f}], class {'' if row['retained'] else 'not '}retained, {row['seconds']:.3g} s"
                )
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


def device(name: str) -> torch.device:
    """The device meant by a name.

    Raises:
        InputError: it does not exist here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.empty(1, device=chosen)
    except Exception as error:  # unknown names and missing back ends raise several types
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"device {name!r} cannot be used here: {first[:120]}; use auto or cpu") from error
    if chosen.type == "meta":
        raise InputError("device 'meta' computes nothing; use auto or cpu")
    return chosen
