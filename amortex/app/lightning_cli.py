"""Lightning's command line with our settings checked, and what is wrong with them said in one line."""

import argparse
import inspect
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TextIO, cast

from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_only

from amortex.amortized.checkpoints import read, refuse_code
from amortex.app.checks import check_value_range
from amortex.app.closing import explain_command, left_out_of_training
from amortex.app.explain_command import print_rows
from amortex.app.parsing import with_near_option
from amortex.core.errors import InputError
from amortex.core.modalities import modality_of
from amortex.training.callbacks import FitSummary, LastCheckpoint
from amortex.training.config import plain_values
from amortex.training.module import AmortizedTrainingModule
from amortex.training.wandb_run import quieten_offline, take_off_if_disabled

KEYWORDS = ("", "null", "best", "last", "hpc", "registry")  # what Lightning takes for a checkpoint besides files
LARGEST_SEED = 2**32 - 1  # of NumPy
PRECISIONS = ("None", "16", "32", "bf16", "32-true", "16-mixed", "bf16-mixed")  # masks are float32
EXPECTS_LIST = re.compile(r"""Parser key "([\w.]+)":\s+Expected a <class '(?:tuple|list)'>\.\s+Got value:\s+(.+)""")
MOST_DEVICES = max(64, os.cpu_count() or 1)  # each is a process: far more would exhaust the machine


def default_settings() -> dict[str, Any]:
    """Defaults of the training module's settings, ``problem.classifier`` and so on."""
    defaults: dict[str, Any] = {}
    for name, parameter in inspect.signature(AmortizedTrainingModule).parameters.items():
        default: Any = parameter.default
        if is_dataclass(default):
            defaults |= {f"{name}.{field.name}": getattr(default, field.name) for field in fields(default)}
        else:
            defaults[name] = default
    return defaults


DEFAULTS = default_settings()


@contextmanager
def as_input_errors() -> Iterator[None]:
    """Turn errors into InputError: parser, trainer and what configurations name raise any type of them."""
    try:
        yield
    except (InputError, OSError, argparse.ArgumentError):
        raise
    except Exception as error:
        raise InputError(f"{type(error).__name__}: {error}") from error


class OneLineCLI(LightningCLI):
    """Raises errors of one line for wrong settings, instead of printing pages of usage."""

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        return super().init_parser(**{**kwargs, "exit_on_error": False})

    def parse_arguments(self, parser: Any, args: Any) -> None:
        try:
            with as_input_errors():
                super().parse_arguments(parser, args)
        except (argparse.ArgumentError, InputError) as error:
            parsers = [parser, *getattr(self, "_subcommand_parsers", {}).values()]
            options = [option for known in parsers for option in known._option_string_actions]
            raise InputError(with_near_option(_as_list(str(error)), options)) from error
        config = self.config.get(self.config.get("subcommand") or "") or self.config
        seed = config.get("seed_everything")
        if type(seed) is int and not 0 <= seed <= LARGEST_SEED:
            raise InputError(f"seed_everything must be between 0 and {LARGEST_SEED}, not {seed}")
        devices = str(config.get("trainer", {}).get("devices"))
        if devices.isdecimal() and int(devices) > MOST_DEVICES:
            raise InputError(f"trainer.devices is the number on this machine, at most {MOST_DEVICES}, not {devices}")
        self.refuse_settings(config.get("trainer", {}))

    def refuse_settings(self, trainer: Any) -> None:
        """Raises InputError for settings of Lightning's trainer that would break off in the middle of a run."""
        precision = str(trainer.get("precision"))
        if precision not in PRECISIONS:
            raise InputError(f"trainer.precision is one of {', '.join(PRECISIONS[4:])}, not {precision}")
        if trainer.get("inference_mode"):
            raise InputError("explanations need gradients: leave out trainer.inference_mode")
        if trainer.get("accumulate_grad_batches") == 0:
            raise InputError("trainer.accumulate_grad_batches must be at least 1")

    def instantiate_classes(self) -> None:
        with as_input_errors():
            super().instantiate_classes()
        take_off_if_disabled(self.trainer)
        quieten_offline(self.trainer)


class TrainCLI(OneLineCLI):
    """Trains, validates, tests and predicts.

    With a checkpoint, the settings of the model are the checkpoint's, as Lightning has it, but for those that the user
    asks for, which Lightning would ignore.
    """

    status = 0

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(FitSummary, "summary")

    def parse_arguments(self, parser: Any, args: Any) -> None:
        super().parse_arguments(parser, args)
        self.requested = self.config.clone()
        checkpoint = self.config[self.config.subcommand].get("ckpt_path") or ""
        if "://" in checkpoint:
            raise InputError(f"{checkpoint} is no file: download the checkpoint first")
        # before Lightning does, which makes objects of its settings, and prefers a file of that name to its keywords
        if checkpoint not in KEYWORDS or Path(checkpoint).is_file():
            read(Path(checkpoint))

    def _parse_ckpt_path(self) -> None:
        """Take over the checkpoint's settings; Lightning's own way does not know how older versions kept them."""
        if self.config.get("subcommand") and self.checkpoint is not None:
            settings = read(self.checkpoint)[0]
            settings.pop("_instantiator", None)
            with as_input_errors():
                self.config = self.parser.parse_object({self.config.subcommand: {"model": settings}}, self.config)

    @property
    def checkpoint(self) -> Path | None:
        """The file that the run goes on from."""
        path = self.config[self.config.subcommand].get("ckpt_path")
        return Path(path) if path and Path(path).is_file() else None

    def before_instantiate_classes(self) -> None:
        requested, resumed = (config[config.subcommand].get("model") for config in (self.requested, self.config))
        if self.checkpoint is not None and requested:
            refuse_code(resumed.as_dict(), requested.problem.classifier, self.checkpoint)
        for name, value in (requested or {}).items():
            if plain_values(value) not in (plain_values(DEFAULTS[name]), plain_values(resumed[name])):
                print_once(
                    f"train.py: {name} is {value} from now on, {resumed[name]} in the checkpoint", file=sys.stderr
                )
                resumed[name] = value

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        # what can be refused is refused before loggers leave their files
        with as_input_errors():
            if self.checkpoint is not None:
                self.model.predictor.refuse_others(read(self.checkpoint)[1])
            open_data(self, "predict" if self.subcommand == "predict" else "fit")

    def after_fit(self) -> None:
        """Print where the results of the run are, what they are not of, and how to use them."""
        if cast(Any, self.trainer).fast_dev_run:
            return
        print_once(f"trained to step {self.trainer.global_step}: {self.trainer.log_dir}")
        left_out = left_out_of_training(self.datamodule)
        if left_out:
            print_once(left_out)
        self.after_validate()
        paths = [
            callback.best_model_path
            for callback in self.trainer.checkpoint_callbacks
            if isinstance(callback, LastCheckpoint)
        ]
        if paths and paths[0]:
            print_once(f"explain with it: {explain_command(paths[0], dict(self.model.hparams))}")

    def after_validate(self) -> None:
        """Print how many images were measured, if some were left out."""
        images = len(self.datamodule.val_source.source)
        measured = int(self.trainer.callback_metrics.get("val/image_count", images))
        if measured < images:
            print_once(f"measured on {measured} of {images} validation images: the others are left out")

    after_test = after_validate

    def before_predict(self) -> None:
        bar = self.trainer.progress_bar_callback
        if bar is not None:
            bar.disable()  # it would count batches, of which there is one

    def after_predict(self) -> None:
        """Print what was explained, and what could not be."""
        if self.trainer.is_global_zero:
            (rows,), sources = self.trainer.predict_loop.predictions, self.datamodule.predict_sources
            folder = Path(self.trainer.default_root_dir, "predictions")
            self.status = print_rows(rows, len(sources), folder, quiet=False)


def open_data(cli: LightningCLI, stage: str) -> None:
    """Tell the data what the classifier wants, and find its images, unless they have to be downloaded first."""
    problem, mel = cli.model.hparams["problem"], cli.model.hparams["problem"].get("domain") == "mel"
    if mel and stage != "test":
        raise InputError("training is on waveforms: leave problem.domain out")
    modality = modality_of(len(cli.model.data_config["input_size"]) - 1)
    check_value_range(None if mel else problem["value_range"], modality)  # comparisons have no predictor
    cli.datamodule.configure(cli.model.data_config)
    if not cli.datamodule.download:
        cli.datamodule.setup(stage)


def _as_list(message: str) -> str:
    """What jsonargparse says of a value, and if it expects several, how to write them."""
    return EXPECTS_LIST.sub(r"\1 is a list: write --\1 '[\2]'", message)


@rank_zero_only
def print_once(text: str, file: TextIO | None = None) -> None:
    """Print in one process of a run on several devices."""
    print(text, file=file)
