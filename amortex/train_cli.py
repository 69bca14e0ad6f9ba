"""The command line of `train.py`: Lightning's, plus `export`."""

import inspect
import sys
from collections.abc import Sequence
from typing import Any

from lightning.pytorch.cli import LightningCLI

from amortex.callbacks import finish
from amortex.cli import report
from amortex.data import ImageData
from amortex.export import main as export
from amortex.process import prepare
from amortex.training import AmortizedExplainer
from amortex.types import InputError

INTERRUPTED = 1  # with what Lightning exits when it is interrupted
DEFAULTS = {name: value.default for name, value in inspect.signature(AmortizedExplainer).parameters.items()}


class TrainCLI(LightningCLI):
    """Hands the classifier's data config (size, interpolation, crop) to the data.

    With a checkpoint the settings of the model are the checkpoint's, which is what Lightning does, but for those that
    are asked for otherwise, which Lightning would ignore.
    """

    status = 0

    def parse_arguments(self, parser: Any, args: Any) -> None:
        super().parse_arguments(parser, args)
        self.asked = self.config.clone()

    def before_instantiate_classes(self) -> None:
        asked, found = (config[config.subcommand].get("model") for config in (self.asked, self.config))
        for name, value in (asked or {}).items():
            if plain(value) not in (plain(DEFAULTS[name]), plain(found[name])):
                print(f"train.py: {name} is {value} from now on, {found[name]} in the checkpoint", file=sys.stderr)
                found[name] = value

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        self.datamodule.configure(self.model.data_config)

    def after_predict(self) -> None:
        """Say what was explained, and what could not be."""
        batches = self.trainer.predict_loop.predictions
        rows = [row for batch in batches for row in batch]
        self.status = report(rows, len(self.datamodule.predict_sources), self.model.results.folder, quiet=False)


def plain(value: Any) -> Any:
    """Sequences as lists: checkpoints, configurations and defaults have them in several types."""
    return list(value) if isinstance(value, tuple) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    prepare()
    try:
        if arguments[:1] == ["export"]:
            return export(arguments[1:])
        status = TrainCLI(
            AmortizedExplainer,
            ImageData,
            args=arguments,
            seed_everything_default=0,
            trainer_defaults={"inference_mode": False},  # validation, too, looks at gradients
            save_config_kwargs={"overwrite": True},
        ).status
    except InputError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code != INTERRUPTED:
            raise
        print("train.py: interrupted; resume with --ckpt_path and the last checkpoint", file=sys.stderr)
        return 130
    finally:
        finish()
    return status
