"""The command line of the benchmarks: ``python -m benchmarks NAME [options]``."""

import argparse
import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from amortex.core.errors import InputError
from benchmarks.arguments import ARGUMENTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark that the first argument names, and import no other; returns the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    name = entry().parse_args(given[:1]).name
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}",
        description=description(name),
        formatter_class=Formatter,
    )
    ARGUMENTS[name](parser)
    options = parser.parse_args(given[1:])
    try:
        status: int | None = importlib.import_module(f"benchmarks.{name}").main(options)
    except InputError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return status or 0


def entry() -> argparse.ArgumentParser:
    """The parser of the name alone; its help lists the benchmarks."""
    lines = (f"  {name:<12} {description(name).partition(chr(10))[0]}" for name in ARGUMENTS)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        usage="%(prog)s NAME [options]",
        description="Run a benchmark. Each has options of its own: python -m benchmarks NAME --help",
        epilog="\n".join(["benchmarks:", *lines]),
        formatter_class=Formatter,
    )
    parser.add_argument("name", choices=ARGUMENTS, metavar="NAME", help="one of those below")
    return parser


def description(name: str) -> str:
    """The docstring of a benchmark, read from its source: importing it would take seconds."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)) or ""


class Formatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the lines of docstrings, and tells the defaults."""


if __name__ == "__main__":
    sys.exit(main())
