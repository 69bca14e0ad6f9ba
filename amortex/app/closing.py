"""What a run of ``train.py fit`` says when it is done."""

import shlex
from pathlib import Path
from typing import Any

from amortex.amortized.checkpoints import refuse_code
from amortex.core.errors import InputError
from amortex.data import SignalData
from amortex.data.reading import SkippingReader
from amortex.io.files import relative_to_current


def explain_command(checkpoint: str, settings: dict[str, Any]) -> str:
    """The command that explains with a run's checkpoint, into a folder of its own.

    Arguments:
        checkpoint: the file.
        settings: of the training module. A classifier that the file alone may not name is named.
    """
    folder = Path(checkpoint).resolve().parent
    run = folder.parent if folder.name == "checkpoints" else folder
    out = Path("explanations", "_".join(name for name in (run.parent.name, run.name) if name))
    words = ["python", "explain.py", "--explainer", relative_to_current(checkpoint), "--out", str(out)]
    try:
        refuse_code(settings, None, checkpoint)
    except InputError:
        words += ["--classifier", settings["problem"]["classifier"]]
    return shlex.join(words)


def left_out_of_training(data: SignalData) -> str | None:
    """A line on training images that cannot be read, if this process has met any; others meet further ones."""
    if not isinstance(data.train_source, SkippingReader) or not data.train_source.broken.any():
        return None
    broken = data.train_source.broken
    return f"at least {int(broken.sum())} of {len(broken)} training images cannot be read: others stood in for them"
