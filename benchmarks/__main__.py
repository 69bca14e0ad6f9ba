"""The command line of the benchmarks: ``python -m benchmarks NAME [options]``."""

import argparse
import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from amortex.core.errors import InputError
from benchmarks import NAMES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark that the first argument names; returns the exit status."""
    entry = argparse.ArgumentParser(
        prog="python -m benchmarks",
        usage="%(prog)s NAME [options]",
        description="Run a benchmark. Each has options of its own: python -m benchmarks NAME --help",
        epilog="\n".join(["benchmarks:", *(f"  {name:<12} {summary(name)}" for name in NAMES)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    entry.add_argument("name", choices=NAMES, metavar="NAME")
    given = sys.argv[1:] if arguments is None else list(arguments)
    name = entry.parse_args(given[:1]).name
    benchmark = importlib.import_module(f"benchmarks.{name}")
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}",
        description=benchmark.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    benchmark.add_arguments(parser)
    try:
        return benchmark.main(parser.parse_args(given[1:])) or 0
    except InputError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2


def summary(name: str) -> str:
    """The first line of a benchmark's docstring, read from its source: importing it would take seconds."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
