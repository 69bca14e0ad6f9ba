"""The command line of the page. What needs torch is imported when the options are understood."""

import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from amortex.app.parsing import OneLineParser
from amortex.core.errors import InputError, escape
from amortex.core.process import hidden_module, shorten_waits

NEEDED = ("starlette", "uvicorn")
HIGHEST_PORT = 65535
ORIGIN = re.compile(r"https?://[a-zA-Z0-9.-]+(:[0-9]+)?")


def parser() -> OneLineParser:
    """The command line; it raises InputError for what it does not understand."""
    options = OneLineParser(prog="python -m amortex.page", description="A local page to play with explanations.")
    options.add_argument("--host", default="127.0.0.1", help="address to listen at; default: %(default)s, this machine")
    options.add_argument("--port", type=int, default=8224, help="default: %(default)s; 0 takes a free one")
    options.add_argument("--frame", metavar="ORIGIN", help="a site that may show the page in a frame: https://NAME")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps; default: %(default)s")
    options.add_argument("--export", type=Path, metavar="FOLDER", help="write a static version there instead")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    shorten_waits()
    try:
        options = parser().parse_args(arguments)
        if not 0 <= options.port <= HIGHEST_PORT:
            raise InputError(f"--port must be 0 to {HIGHEST_PORT}, not {options.port}")
        if options.export is not None and options.export.exists() and not options.export.is_dir():
            raise InputError(f"--export {options.export}: there is a file of that name: give a folder")
        if options.frame is not None and not ORIGIN.fullmatch(options.frame):
            raise InputError(f"--frame must be an origin such as https://example.org, not {options.frame}")
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing and options.export is None:
            raise InputError(f'{" and ".join(missing)} missing: pip install "amortex[page]"')
        print("loading the classifier", flush=True)
        with hidden_module("wandb"):  # timm has a use for it in training alone
            if options.export is not None:
                from amortex.page.export import export

                export(options.export, options.device)
            else:
                from amortex.page.serving import serve

                serve(options.host, options.port, options.device, options.frame)
    except InputError as error:
        print(f"amortex.page: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"amortex.page: {escape(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
