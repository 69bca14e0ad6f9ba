"""The command line of `train.py`: Lightning's, plus `export` and `compare`."""

import argparse
import inspect
import logging
import os
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from amortex.callbacks import finish
from amortex.checkpoints import read, refuse_code
from amortex.cli import report
from amortex.comparison import Comparison
from amortex.data import ImageData
from amortex.export import main as export
from amortex.process import out_of_memory, prepare
from amortex.training import AmortizedExplainer
from amortex.types import InputError, escape

KEYWORDS = ("", "null", "best", "last", "hpc", "registry")  # what Lightning takes for a checkpoint besides files
INTERRUPTED = 1  # with what Lightning exits when it is interrupted
LARGEST_SEED = 2**32 - 1  # of NumPy
DEFAULTS = {name: value.default for name, value in inspect.signature(AmortizedExplainer).parameters.items()}


@contextmanager
def as_input_errors() -> Iterator[None]:
    """Parser, trainer and whatever configurations name refuse values with any type of error."""
    try:
        yield
    except (InputError, OSError, argparse.ArgumentError):
        raise
    except Exception as error:
        raise InputError(f"{type(error).__name__}: {error}") from error


class OneLineCLI(LightningCLI):
    """Says what is wrong with settings by errors, for one line, instead of pages of usage."""

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        return super().init_parser(**{**kwargs, "exit_on_error": False})

    def parse_arguments(self, parser: Any, args: Any) -> None:
        with as_input_errors():
            super().parse_arguments(parser, args)
        config = self.config.get(self.config.get("subcommand") or "") or self.config
        seed = config.get("seed_everything")
        if type(seed) is int and not 0 <= seed <= LARGEST_SEED:
            raise InputError(f"seed_everything must be between 0 and {LARGEST_SEED}, not {seed}")

    def instantiate_classes(self) -> None:
        with as_input_errors():
            super().instantiate_classes()


class TrainCLI(OneLineCLI):
    """With a checkpoint the settings of the model are the checkpoint's, which is what Lightning does, but for those
    that are asked for otherwise, which Lightning would ignore.
    """

    status = 0

    def parse_arguments(self, parser: Any, args: Any) -> None:
        super().parse_arguments(parser, args)
        self.asked = self.config.clone()
        value = self.config[self.config.subcommand].get("ckpt_path") or ""
        if "://" in value:
            raise InputError(f"{value} is no file: download the checkpoint first")
        if value not in KEYWORDS:  # before Lightning does, which makes objects of its settings
            read(Path(value))

    @property
    def checkpoint(self) -> Path | None:
        """The file that the run goes on from."""
        path = self.config[self.config.subcommand].get("ckpt_path")
        return Path(path) if path and Path(path).is_file() else None

    def before_instantiate_classes(self) -> None:
        asked, found = (config[config.subcommand].get("model") for config in (self.asked, self.config))
        if self.checkpoint is not None and asked:
            refuse_code(found.as_dict(), asked.classifier, self.checkpoint)
        for name, value in (asked or {}).items():
            if plain(value) not in (plain(DEFAULTS[name]), plain(found[name])):
                print(f"train.py: {name} is {value} from now on, {found[name]} in the checkpoint", file=sys.stderr)
                found[name] = value

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        # what can be refused is refused before loggers leave their files
        with as_input_errors():
            if self.checkpoint is not None:
                self.model.predictor.refuse_others(read(self.checkpoint)[1])
            open_data(self, "predict" if self.subcommand == "predict" else "fit")

    def after_predict(self) -> None:
        """Say what was explained, and what could not be."""
        batches = self.trainer.predict_loop.predictions
        rows = [row for batch in batches for row in batch]
        own = len(self.datamodule.predict_dataloader().dataset)
        self.status = report(rows, own, self.model.results.folder, quiet=False)


def open_data(cli: LightningCLI, stage: str) -> None:
    """Tell the data what the classifier wants, and see that there are some, unless they have to be downloaded first."""
    cli.datamodule.configure(cli.model.data_config)
    if not cli.datamodule.download:
        cli.datamodule.setup(stage)


class CompareCLI(OneLineCLI):
    """``python train.py compare``: tests a `Comparison` instead of training."""

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        open_data(self, "test")


def compare(arguments: Sequence[str]) -> int:
    """Compare explainers, and leave a report; the exit status."""
    cli = CompareCLI(
        Comparison,
        ImageData,
        args=list(arguments),
        run=False,
        save_config_callback=None,
        seed_everything_default=0,
        trainer_defaults={"inference_mode": False, "use_distributed_sampler": False},
    )
    cli.trainer.test(cli.model, cli.datamodule, verbose=False)
    print(f"report: {cli.model.folder / 'report.md'}")
    return 0


def quieten() -> None:
    """Leave out what libraries print that helps nobody here."""
    os.environ.setdefault("WANDB_QUIET", "true")
    for message in ("`isinstance\\(treespec, LeafSpec\\)`", "Found .* in eval mode", "LightningCLI's args"):
        warnings.filterwarnings("ignore", message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda r: "litlogger" not in r.getMessage())


def one_line(error: Exception) -> str:
    """What an error says; of one in a worker, whose traceback comes along, the end."""
    text = str(error.args[0] if isinstance(error, InputError) else error)
    text = text.rpartition(f"{InputError.__module__}.{InputError.__name__}: ")[2]
    return escape(textwrap.shorten(text, 500, placeholder=" ..."))


def plain(value: Any) -> Any:
    """Sequences as lists: checkpoints, configurations and defaults have them in several types."""
    return list(value) if isinstance(value, tuple) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = None if arguments is None else list(arguments)
    arguments = sys.argv[1:] if given is None else given
    prepare()
    quieten()
    try:
        if arguments[:1] == ["export"]:
            return export(arguments[1:])
        if arguments[:1] == ["compare"]:
            return compare(arguments[1:])
        status = TrainCLI(
            AmortizedExplainer,
            ImageData,
            args=given,
            seed_everything_default=0,
            # validation, too, looks at gradients; the data shards itself
            trainer_defaults={
                "inference_mode": False,
                "use_distributed_sampler": False,
                "plugins": {"class_path": "amortex.callbacks.Checkpoints"},
            },
            save_config_kwargs={"overwrite": True},
        ).status
    except (InputError, MisconfigurationException, argparse.ArgumentError, OSError) as error:
        print(f"train.py: {one_line(error)}", file=sys.stderr)
        return 2
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        print("train.py: out of memory; try a smaller --data.batch_size", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code != INTERRUPTED:
            raise
        print("train.py: interrupted; resume with --ckpt_path and the last checkpoint", file=sys.stderr)
        return 130
    finally:
        finish()
    return status
