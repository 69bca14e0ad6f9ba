"""Training, comparing, and explaining on several devices, by Lightning's trainer."""

import argparse
import logging
import os
import signal
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from amortex.app.checks import check_files, complete
from amortex.app.explain_command import build_request, find_sources, print_outcome, print_plan
from amortex.app.lightning_cli import OneLineCLI, TrainCLI, open_data, print_once
from amortex.app.options import add_options
from amortex.comparison import Comparison
from amortex.core.errors import InputError, escape
from amortex.core.process import end_with_launcher, out_of_memory, prepare
from amortex.data import SignalData
from amortex.explaining.distributed import FileExplainer
from amortex.training.module import AmortizedTrainingModule
from amortex.training.wandb_run import finish

# validation and explanations, too, need gradients; the data shards itself
TRAINER = {"inference_mode": False, "use_distributed_sampler": False}
INTERRUPTED = 1  # with what Lightning exits when it is interrupted
WANDB_ADVICE = "Or log on this machine alone: offline: true in the logger's init_args."
USELESS_WARNINGS = (  # of libraries, which help nobody here
    "`isinstance\\(treespec, LeafSpec\\)`",
    "Found .* in eval mode",
    "LightningCLI's args",
    "Grad strides",
    "Checkpoint directory .* exists and is not empty",
)


def run(task: Callable[[], int], resumable: bool = False) -> int:
    """Run a command, and print one line for what goes wrong; returns the exit status.

    Arguments:
        task: returns its exit status.
        resumable: whether it leaves checkpoints to go on from; other commands are repeated.
    """
    resume = "resume with --ckpt_path and the last checkpoint" if resumable else "the same command resumes"
    prepare()
    end_with_launcher()
    _quieten_libraries()
    try:
        return task()
    except (InputError, MisconfigurationException, argparse.ArgumentError, OSError) as error:
        print(f"train.py: {_one_line(error)}", file=sys.stderr)
        return 2
    except (RuntimeError, MemoryError) as error:
        if out_of_memory(error):
            print("train.py: out of memory; try a smaller batch size or internal batch size", file=sys.stderr)
            return 2
        if not _lost_processes(error):
            raise
        print(f"train.py: another process of this run has ended; {resume} ({error})", file=sys.stderr)
        return 1
    except Exception as error:
        if not type(error).__module__.startswith("wandb."):  # its errors have no common type with others
            raise
        print(f"train.py: W&B: {_one_line(error)} {WANDB_ADVICE}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, SystemExit) as error:
        terminated = isinstance(error, SIGTERMException)
        if isinstance(error, SystemExit) and not terminated and error.code != INTERRUPTED:
            raise
        print(f"train.py: {'terminated' if terminated else 'interrupted'}; {resume}", file=sys.stderr)
        return 128 + (signal.SIGTERM if terminated else signal.SIGINT)
    finally:
        finish()


def train(arguments: list[str] | None) -> int:
    """Run Lightning's commands, on the arguments of the process if None are given; the exit status."""
    cli = TrainCLI(
        AmortizedTrainingModule,
        SignalData,
        args=arguments,
        seed_everything_default=0,
        trainer_defaults={**TRAINER, "plugins": {"class_path": "amortex.training.callbacks.Checkpoints"}},
        save_config_kwargs={"overwrite": True},
    )
    return cli.status


class CompareCLI(OneLineCLI):
    """Tests a `Comparison` instead of training."""

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        open_data(self, "test")


def compare(arguments: Sequence[str]) -> int:
    """Compare explainers, and leave a report; the exit status."""
    cli = CompareCLI(
        Comparison,
        SignalData,
        args=list(arguments),
        run=False,
        save_config_callback=None,
        seed_everything_default=0,
        trainer_defaults=TRAINER,
    )
    cli.trainer.test(cli.model, cli.datamodule, verbose=False)
    print_once(f"report: {cli.model.folder / 'report.md'}")
    return 0


class ExplainCLI(OneLineCLI):
    """Takes the options of `explain.py`, and those of a trainer instead of its device."""

    def add_core_arguments_to_parser(self, parser: Any) -> None:
        add_options(parser)
        parser.add_lightning_class_args(Trainer, "trainer")
        parser.set_defaults({f"trainer.{name}": value for name, value in self.trainer_defaults.items()})


def explain(arguments: Sequence[str]) -> int:
    """Explain files by any method on any number of devices; the exit status."""
    cli = ExplainCLI(
        args=list(arguments),
        run=False,
        save_config_callback=None,
        seed_everything_default=False,
        auto_configure_optimizers=False,
        parser_kwargs={"prog": "train.py explain"},
        trainer_defaults={**TRAINER, "logger": False, "enable_progress_bar": False},
    )
    options, first = cli.config, cli.trainer.is_global_zero
    if any(word in str(options.trainer.strategy) for word in ("spawn", "fork", "notebook")):
        raise InputError(
            "trainer.strategy: explaining needs processes that are launched, not spawned or forked: use ddp"
        )
    if options.trainer.limit_predict_batches not in (None, 1.0):
        raise InputError("trainer.limit_predict_batches: all files are one batch; leave it out, and name fewer files")
    complete(options)
    check_files(options)
    request = build_request(options)
    sources = find_sources(options) if first else []  # one process searches folders of millions, and tells the others
    module = FileExplainer(request, sources, options.out, options.overwrite, options.quiet)
    if first:
        print_plan(options, request, len(sources))
    (rows,) = cast(list[Any], cli.trainer.predict(module))
    return print_outcome(options, request, rows, len(sources)) if first else 0


OURS = {"compare": compare, "explain": explain}


def _lost_processes(error: Exception) -> bool:
    """Whether a collective failed because other processes are gone; gloo's errors have no type of their own."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


def _quieten_libraries() -> None:
    os.environ.setdefault("WANDB_QUIET", "true")
    for message in USELESS_WARNINGS:
        warnings.filterwarnings("ignore", message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda r: "litlogger" not in r.getMessage())


def _one_line(error: Exception) -> str:
    """What an error says; of one in a worker, whose traceback comes along, the end."""
    text = str(error.args[0] if isinstance(error, InputError) else error)
    text = text.rpartition(f"{InputError.__module__}.{InputError.__name__}: ")[2]
    return escape(textwrap.shorten(text, 500, placeholder=" ..."))
