"""The command line of `train.py`: Lightning's commands, and `explain`, `compare`, `pack` and `export`.

What needs torch or Lightning is imported when the command and its options are understood.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from amortex.app.options import add_options
from amortex.app.parsing import OneLineParser
from amortex.core.catalog import check_name
from amortex.core.errors import InputError
from amortex.core.process import leave_busy_cores, shorten_waits

COMMANDS = {
    "fit": "train an explainer",
    "validate": "measure a trained explainer",
    "test": "measure a trained explainer",
    "predict": "explain files by a trained explainer",
    "explain": "explain files by any method, on any number of devices",
    "compare": "compare explainers, and write a report",
    "pack": "write the photographs of a folder, smaller, into one tar file",
    "export": "write a release of a trained explainer",
}
HELP = ("-h", "--help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    shorten_waits()
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if not words:
            raise InputError(f"give a command: one of {', '.join(COMMANDS)}")
        command, *rest = words
        if command in HELP:
            print(_overview())
            return 0
        if not command.startswith("-"):  # Lightning takes options before its commands, too
            check_name("command", command, COMMANDS)
        task: Callable[[], int] | None = None
        if command == "explain" and set(rest) & set(HELP):
            _explain_parser().print_help()
            return 0
        if command == "export":
            task = _export(_export_parser().parse_args(rest))
        if command == "pack":
            task = _pack(_pack_parser().parse_args(rest))
    except InputError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    if command == "fit":
        leave_busy_cores()
    from amortex.app.train_commands import OURS, run, train

    if command in OURS:
        return run(lambda: OURS[command](rest))
    return run(task or (lambda: train(None if arguments is None else words)), resumable=command == "fit")


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {purpose}" for name, purpose in COMMANDS.items()]
    usage = ["usage: train.py COMMAND [options]", "", "Train an explainer, measure it, and explain with it.", ""]
    return "\n".join([*usage, *lines, "", "train.py COMMAND --help describes the options of a command."])


def _explain_parser() -> argparse.ArgumentParser:
    """The options of ``train.py explain`` but for the trainer's, which only Lightning knows."""
    parser = OneLineParser(
        prog="train.py explain",
        description="Explain a classifier's decisions as explain.py does, on any number of devices.",
        epilog="In place of a device it takes the settings of Lightning's trainer, --trainer.devices 2 and so on: "
        "train.py fit --help describes them.",
    )
    add_options(parser)
    return parser


def _export_parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="train.py export", description="Write a release of a trained explainer.")
    parser.add_argument("checkpoint", type=Path, help="a run's checkpoint")
    parser.add_argument("folder", type=Path, help="where the release goes")
    parser.add_argument("--others", type=Path, help="a checkpoint or release for other classes than the predicted one")
    parser.add_argument(
        "--any-size", action="store_true", help="explain inputs of the classifier's own size, not of that of training"
    )
    parser.add_argument("--onnx", action="store_true", help="write explainer.onnx, too (pip install 'amortex[onnx]')")
    parser.add_argument("--push", metavar="REPOSITORY", help="upload the folder to this repository of the hub")
    parser.add_argument("--classifier", help="its class path, if it is not one of timm's: it runs that code")
    return parser


def _export(options: argparse.Namespace) -> Callable[[], int]:
    """What ``train.py export`` does with these options."""
    checkpoints = list(filter(None, (options.checkpoint, options.others)))
    for checkpoint in checkpoints:
        if not checkpoint.exists():
            raise InputError(f"{checkpoint}: no such checkpoint")

    def export() -> int:
        from amortex.amortized.checkpoints import load_predictor
        from amortex.amortized.export import ONNX, check_onnx, export_onnx, push, release

        if options.onnx:
            check_onnx()
        for checkpoint in checkpoints:
            load_predictor(checkpoint, options.classifier)  # refused before anything is written
        release(options.checkpoint, options.folder, options.others, options.any_size)
        predictor = load_predictor(options.folder, options.classifier)  # what was written can be read
        size = sum(file.stat().st_size for file in options.folder.glob("*.safetensors")) / 2**20
        if options.onnx:
            export_onnx(predictor, options.folder / ONNX)
        if options.push:
            push(options.folder, options.push)
        print(f"explainer of {predictor.rate_distortion.classifier.name}, {size:.1f} MiB: {options.folder}")
        return 0

    return export


def _pack_parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="train.py pack", description="Photographs of a folder, smaller, in one tar file: for --data.train FILE."
    )
    parser.add_argument("folder", help="photographs, at any depth")
    parser.add_argument("out", type=Path, help="the tar file")
    parser.add_argument("--size", type=int, default=256, help="pixels of the shorter side at most; default: 256")
    return parser


def _pack(options: argparse.Namespace) -> Callable[[], int]:
    """What ``train.py pack`` does with these options."""
    if options.out.suffix != ".tar" or not options.out.parent.is_dir():
        raise InputError(f"{options.out}: give a name that ends in .tar, in a folder that exists")
    if not 32 <= options.size <= 4096:
        raise InputError(f"--size must be between 32 and 4096, not {options.size}")

    def pack() -> int:
        from amortex.data.packing import pack
        from amortex.io.finding import find_files

        sources = list(find_files([options.folder]))
        failures = pack(sources, options.out, options.size)
        for failure in failures:
            print(f"skipped: {failure}", file=sys.stderr)
        size = options.out.stat().st_size / 2**20
        print(f"{len(sources) - len(failures)} images, {size:.1f} MiB: {options.out}")
        return 1 if failures else 0

    return pack
