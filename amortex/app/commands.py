"""The commands of `train.py`: Lightning's, with our settings checked, and `explain` and `compare` beside them."""

import argparse
import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_only

from amortex.amortized.checkpoints import read, refuse_code
from amortex.app.explain_cli import announce, build_request, conclude, find, report, settle
from amortex.app.options import add_options
from amortex.comparison import Comparison
from amortex.core.errors import InputError
from amortex.data import ImageData
from amortex.explaining.distributed import FileExplainer
from amortex.training.callbacks import LastCheckpoint, relative
from amortex.training.config import plain_values
from amortex.training.module import AmortizedTrainingModule

KEYWORDS = ("", "null", "best", "last", "hpc", "registry")  # what Lightning takes for a checkpoint besides files
# validation and explanations, too, look at gradients; the data shards itself
TRAINER = {"inference_mode": False, "use_distributed_sampler": False}
LARGEST_SEED = 2**32 - 1  # of NumPy
PRECISIONS = ("None", "16", "32", "bf16", "32-true", "16-mixed", "bf16-mixed")  # masks are float32
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
        devices = str(config.get("trainer", {}).get("devices"))
        if devices.isdecimal() and int(devices) > MOST_DEVICES:
            raise InputError(f"trainer.devices is the number on this machine, at most {MOST_DEVICES}, not {devices}")
        self.refuse_settings(config.get("trainer", {}))

    def refuse_settings(self, trainer: Any) -> None:
        """Raises InputError for settings of Lightning's trainer that end in the middle of things."""
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
        # before Lightning does, which makes objects of its settings, and prefers a file of that name to its own words
        if value not in KEYWORDS or Path(value).is_file():
            read(Path(value))

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
        asked, found = (config[config.subcommand].get("model") for config in (self.asked, self.config))
        if self.checkpoint is not None and asked:
            refuse_code(found.as_dict(), asked.problem.classifier, self.checkpoint)
        for name, value in (asked or {}).items():
            if plain_values(value) not in (plain_values(DEFAULTS[name]), plain_values(found[name])):
                say(f"train.py: {name} is {value} from now on, {found[name]} in the checkpoint", file=sys.stderr)
                found[name] = value

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        # what can be refused is refused before loggers leave their files
        with as_input_errors():
            if self.checkpoint is not None:
                self.model.predictor.refuse_others(read(self.checkpoint)[1])
            open_data(self, "predict" if self.subcommand == "predict" else "fit")

    def after_fit(self) -> None:
        """Say where the run has left what, and how to use it."""
        if cast(Any, self.trainer).fast_dev_run:
            return
        say(f"trained to step {self.trainer.global_step}: {self.trainer.log_dir}")
        kept = [one.best_model_path for one in self.trainer.checkpoint_callbacks if isinstance(one, LastCheckpoint)]
        if kept and kept[0]:
            say(f"explain with it: python explain.py --explainer {relative(kept[0])}")

    def before_predict(self) -> None:
        bar = self.trainer.progress_bar_callback
        if bar is not None:
            bar.disable()  # it would count batches, of which there is one

    def after_predict(self) -> None:
        """Say what was explained, and what could not be."""
        if self.trainer.is_global_zero:
            (rows,), sources = self.trainer.predict_loop.predictions, self.datamodule.predict_sources
            self.status = report(rows, len(sources), Path(self.trainer.default_root_dir, "predictions"), quiet=False)


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
        trainer_defaults=TRAINER,
    )
    cli.trainer.test(cli.model, cli.datamodule, verbose=False)
    say(f"report: {cli.model.folder / 'report.md'}")
    return 0


class ExplainCLI(OneLineCLI):
    """``python train.py explain``: the options of `explain.py`, and those of a trainer instead of its device."""

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
    if any(way in str(options.trainer.strategy) for way in ("spawn", "fork", "notebook")):
        raise InputError(
            "trainer.strategy: explaining needs processes that are launched, not spawned or forked: use ddp"
        )
    if options.trainer.limit_predict_batches not in (None, 1.0):
        raise InputError("trainer.limit_predict_batches: all files are one batch; leave it out, and name fewer files")
    out = settle(options)
    sources = find(options, out) if first else []  # one process looks through folders of millions, and tells the others
    request = build_request(options)
    module = FileExplainer(request, sources, out, options.overwrite, options.quiet)
    if first:
        announce(options, request, len(sources), out)
    (rows,) = cast(list[Any], cli.trainer.predict(module))
    return conclude(options, request, rows, len(sources), out) if first else 0


@rank_zero_only
def say(text: str, file: Any = None) -> None:
    print(text, file=file)
