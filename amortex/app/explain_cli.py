"""The command line of `explain.py`. What needs torch is imported when the options are understood."""

import argparse
import sys
from collections.abc import Sequence

from amortex.app.checks import check_files, complete
from amortex.app.options import build_parser
from amortex.core.errors import InputError, escape
from amortex.core.process import hidden_module, out_of_memory, shorten_waits


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    shorten_waits()
    try:
        return run(build_parser().parse_intermixed_args(arguments))
    except InputError as error:
        print(f"explain.py: {error}", file=sys.stderr)
    except OSError as error:
        print(
            f"explain.py: {escape(error)}; results written before are whole, the same command goes on", file=sys.stderr
        )
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
    complete(options)
    check_files(options)
    with hidden_module("wandb"):  # timm has a use for it in training alone
        from amortex.app.explain_command import explain_inputs

    return explain_inputs(options)
