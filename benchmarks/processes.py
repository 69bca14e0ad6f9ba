"""Processes of their own: timed commands, Python under the amortex of another checkout, and busy loops beside it."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from amortex.core.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
THREADING = ("OMP_", "GOMP_", "KMP_", "MKL_")  # how the variables begin that libraries of threads read
DEFAULT_THREADS = "default"  # sets no such variable


def checkout(text: str) -> Path:
    """The folder of a checkout: the type of an argument.

    Raises:
        argparse.ArgumentTypeError: the folder holds no amortex.
    """
    path = Path(text).resolve()
    for name in ("explain.py", "train.py", "amortex/__init__.py", "configs/quickstart.yaml"):
        if not (path / name).is_file():
            raise argparse.ArgumentTypeError(f"{text} is no checkout of amortex: it has no {name}")
    return path


def script(path: Path, name: str, *arguments: str) -> list[str]:
    """The command that runs a script of a checkout, whose amortex it finds beside itself."""
    return [sys.executable, str(path / name), *arguments]


def under(path: Path, code: str) -> list[str]:
    """The command that runs Python code with the amortex of a checkout and the benchmarks of this one."""
    imports = "; ".join(
        f"sys.path.insert(0, {str(folder)!r}); import {package}"
        for folder, package in ((path, "amortex"), (ROOT, "benchmarks"))
    )
    return [sys.executable, "-c", f"import sys; {imports}; {code}"]


def run(
    command: Sequence[str], status: int = 0, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> str:
    """Run a command, in `folder` unless that is None; returns what it prints.

    Raises:
        InputError: it ended with another exit status than `status`.
    """
    process = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    if process.returncode != status:
        lines = process.stderr.strip().splitlines() or ["it prints no error"]
        raise InputError(f"exit status {process.returncode} instead of {status}: {' '.join(command)}: {lines[-1]}")
    return process.stdout


def seconds(command: Sequence[str], status: int = 0, folder: Path | None = None) -> float:
    """How long a command takes that ends with the exit status `status`."""
    start = time.perf_counter()
    run(command, status, folder=folder)
    return time.perf_counter() - start


def number(command: Sequence[str], environment: Mapping[str, str] | None = None) -> float:
    """The number in the last line that a command prints."""
    return float(run(command, environment=environment).strip().splitlines()[-1])


def threads(text: str) -> dict[str, str]:
    """This process's environment with the variables of a text such as ``OMP_NUM_THREADS=1,GOMP_SPINCOUNT=0``.

    Other variables for libraries of threads are left out.

    Raises:
        InputError: a part of the text sets no variable for threads.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(THREADING)}
    if text == DEFAULT_THREADS:
        return environment
    setting = dict(part.partition("=")[::2] for part in text.split(","))
    for name, value in setting.items():
        if not (name.startswith(THREADING) and value):
            raise InputError(f"threads are set by variables such as OMP_NUM_THREADS=1, not by {text}")
    return {**environment, **setting}


@contextmanager
def busy_loops(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many other processes, which compute without end until the block is left."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield loops
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
