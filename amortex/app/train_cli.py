"""The command line of `train.py`: Lightning's, plus `explain`, `compare`, `pack` and `export`."""

import argparse
import logging
import os
import signal
import sys
import textwrap
import warnings
from collections.abc import Sequence

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.exceptions import SIGTERMException

from amortex.amortized.export import main as export
from amortex.app.commands import TRAINER, TrainCLI, compare, explain
from amortex.core.errors import InputError, escape
from amortex.core.process import end_with_launcher, out_of_memory, prepare
from amortex.data import ImageData
from amortex.data.packing import main as pack
from amortex.training.callbacks import finish
from amortex.training.module import AmortizedTrainingModule

INTERRUPTED = 1  # with what Lightning exits when it is interrupted


def lost_others(error: Exception) -> bool:
    """Whether an error is that of a collective whose other processes are gone; gloo's have no type of their own."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


def quieten() -> None:
    """Leave out what libraries print that helps nobody here."""
    os.environ.setdefault("WANDB_QUIET", "true")
    for message in (
        "`isinstance\\(treespec, LeafSpec\\)`",
        "Found .* in eval mode",
        "LightningCLI's args",
        "Grad strides",
        "Checkpoint directory .* exists and is not empty",
    ):
        warnings.filterwarnings("ignore", message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda r: "litlogger" not in r.getMessage())


def one_line(error: Exception) -> str:
    """What an error says; of one in a worker, whose traceback comes along, the end."""
    text = str(error.args[0] if isinstance(error, InputError) else error)
    text = text.rpartition(f"{InputError.__module__}.{InputError.__name__}: ")[2]
    return escape(textwrap.shorten(text, 500, placeholder=" ..."))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = None if arguments is None else list(arguments)
    arguments = sys.argv[1:] if given is None else given
    if arguments[:1] in (["-h"], ["--help"]):
        print("Besides the commands below: train.py {explain,compare,pack,export} --help\n")
    fit = arguments[:1] == ["fit"]
    again = "resume with --ckpt_path and the last checkpoint" if fit else "the same command resumes"
    prepare()
    end_with_launcher()
    quieten()
    try:
        if arguments[:1] == ["export"]:
            return export(arguments[1:])
        if arguments[:1] == ["pack"]:
            return pack(arguments[1:])
        if arguments[:1] == ["compare"]:
            return compare(arguments[1:])
        if arguments[:1] == ["explain"]:
            return explain(arguments[1:])
        status = TrainCLI(
            AmortizedTrainingModule,
            ImageData,
            args=given,
            seed_everything_default=0,
            trainer_defaults={**TRAINER, "plugins": {"class_path": "amortex.training.callbacks.Checkpoints"}},
            save_config_kwargs={"overwrite": True},
        ).status
    except (InputError, MisconfigurationException, argparse.ArgumentError, OSError) as error:
        print(f"train.py: {one_line(error)}", file=sys.stderr)
        return 2
    except (RuntimeError, MemoryError) as error:
        if out_of_memory(error):
            print("train.py: out of memory; try a smaller batch size or internal batch size", file=sys.stderr)
            return 2
        if not lost_others(error):
            raise
        print(f"train.py: another process of this run has ended; {again} ({error})", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, SystemExit) as error:
        ended = isinstance(error, SIGTERMException)
        if isinstance(error, SystemExit) and not ended and error.code != INTERRUPTED:
            raise
        print(f"train.py: {'terminated' if ended else 'interrupted'}; {again}", file=sys.stderr)
        return 128 + (signal.SIGTERM if ended else signal.SIGINT)
    finally:
        finish()
    return status
