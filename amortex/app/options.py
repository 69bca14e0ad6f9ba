"""The options of `explain.py`."""

import argparse
import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args

from amortex.classifiers.default import DEFAULT_CLASSIFIER
from amortex.core.errors import InputError
from amortex.explainers import METHODS
from amortex.explainers.presets import PRESETS, Initial
from amortex.obfuscations import OBFUSCATIONS
from amortex.rate_distortion.problem import DistortionName
from amortex.transforms import Padding

AMORTIZED = "amortized"
# options that an explainer's file sets; given all the same, they must agree with it
TRAINED = ("classifier", "weights", "num_classes", "class_names", "mean", "std", "wavelet", "levels", "padding",
           "obfuscation", "distortion")  # fmt: skip
# what `load_classifier` takes beside the name
CLASSIFIER = ("weights", "num_classes", "class_names", "model_args", "input_size", "mean", "std")
LEAST = {
    "seed": 0, "levels": 1, "certificate_samples": 2, "num_classes": 1, "input_size": 1, "batch_size": 1,
    "internal_batch_size": 1,
}  # fmt: skip
MOST = {"levels": 10}


def parser() -> argparse.ArgumentParser:
    """The command line of `explain.py`; it raises InputError for what it does not understand."""
    p = _OneLineParser(
        prog="explain.py",
        description="Explain a classifier's decisions on photographs, and measure the explanations.",
        epilog="Exit status: 0 all explained, 1 some files could not be, 2 nothing done (bad input), 130 interrupted "
        "(the same command goes on).",
    )
    running = add_options(p)
    running.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps; default: %(default)s")
    return p


def add_options(p: argparse.ArgumentParser) -> Any:
    """Add all options but the device; returns the last group.

    Those of a method default to None, so that one given to another method can be refused.
    """
    p.add_argument("inputs", nargs="*", help="images and folders; by default two bundled photographs")
    p.add_argument(
        "--method",
        choices=(*METHODS, AMORTIZED),
        help="default: amortized where there is an explainer for this classifier, wavelet and noise, or else cartoonx",
    )
    p.add_argument(
        "--explainer",
        type=Path,
        help="trained explainer: a checkpoint or a release folder; default: the one that amortex brings, if it does",
    )
    p.add_argument(
        "--target", default="auto", help="class index or name to explain; auto: the predicted class (default)"
    )
    p.add_argument("--out", type=Path, help="folder for the results; default: explanations/METHOD")
    p.add_argument("--overwrite", action="store_true", help="forget what the folder holds instead of resuming")
    p.add_argument("--seed", type=int, default=0, help="default: %(default)s")

    g = p.add_argument_group("method")
    g.add_argument("--preset", choices=PRESETS, help="how RDE methods optimise; default: fast")
    g.add_argument("--lambda-k", type=float, help="sparsity weight of RDE methods; default: 5 (preset paper: 20)")
    g.add_argument("--steps", type=int, help="gradient steps of RDE methods and minimal; default: the preset's, 500")
    g.add_argument(
        "--samples", type=int, help="noise draws per step (RDE), inputs averaged (wam_sg), intervals (wam_ig)"
    )
    g.add_argument("--lr", type=float, help="learning rate of RDE methods and minimal")
    g.add_argument("--init", choices=get_args(Initial), help="start of RDE methods; default: ones")
    g.add_argument(
        "--rate",
        type=float,
        help="share that masks of rankings keep (default: 0.05); mean of amortized masks (with learned steps it takes "
        "hundreds to thousands of classifier passes more beyond 0.06)",
    )
    g.add_argument("--hard", action="store_true", default=None, help="amortized: keep exactly the top share")
    g.add_argument(
        "--select-rate", action="store_true", default=None, help="amortized: choose the rate by measuring several"
    )
    g.add_argument("--max-distortion", type=float, help="amortized: the sparsest mask that is surely below this")
    g.add_argument("--learned-steps", type=int, help="amortized: learned steps from the predicted mask; 0 for one pass")
    g.add_argument("--finetune-steps", type=int, help="amortized: CartoonX steps that follow; default: 0")
    g.add_argument("--alpha", type=float, help="sparsity weight of minimal; default: 100")

    g = p.add_argument_group("rate and distortion")
    g.add_argument("--obfuscation", choices=tuple(OBFUSCATIONS), help="default: gaussian; zero for minimal images")
    g.add_argument("--distortion", choices=get_args(DistortionName), default="label_l2", help="default: %(default)s")
    g.add_argument("--wavelet", default="db3", help="any discrete wavelet of PyWavelets; default: %(default)s")
    g.add_argument("--levels", type=int, default=5, help="wavelet levels, Fourier octaves; default: %(default)s")
    g.add_argument("--padding", choices=get_args(Padding), default="zero", help="default: %(default)s")
    g.add_argument(
        "--certificate-samples", type=int, default=64, help="fresh draws per certificate; default: %(default)s"
    )

    g = p.add_argument_group("classifier")
    g.add_argument(
        "--classifier",
        default=DEFAULT_CLASSIFIER,
        help="timm name (also hf-hub:, local-dir:) or package.module.Class; default: %(default)s",
    )
    g.add_argument(
        "--weights", default="auto", help="auto, random, or a safetensors or checkpoint file; default: %(default)s"
    )
    g.add_argument("--num-classes", type=int, help="default: read off the weights")
    g.add_argument("--class-names", type=Path, help="text file, one name per line")
    g.add_argument("--model-args", default="{}", help="JSON object of constructor arguments")
    g.add_argument("--input-size", type=int, help="side of the square input; default: the classifier's own")
    g.add_argument("--mean", type=float, nargs="+", help="of the normalisation, per channel")
    g.add_argument("--std", type=float, nargs="+", help="of the normalisation, per channel")

    g = p.add_argument_group("running")
    g.add_argument("--batch-size", type=int, default=8, help="images explained at once; default: %(default)s")
    g.add_argument(
        "--internal-batch-size", type=int, default=16, help="most obfuscated images in memory; default: %(default)s"
    )
    g.add_argument(
        "--batch-invariant", action="store_true", help="results are the same to the last bit in any batch; slower"
    )
    g.add_argument("--compile", action="store_true", help="compile the classifier: may be faster on GPUs, in long runs")
    g.add_argument("--no-panels", action="store_true", help="write no panels, only pictures and masks")
    g.add_argument("--quiet", action="store_true", help="no progress bar and no report, only errors")
    return g


class _OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, instead of pages of usage."""

    def error(self, message: str) -> NoReturn:
        unknown = message.partition("unrecognized arguments: ")[2].split(" ")[0].partition("=")[0]
        near = difflib.get_close_matches(unknown, self._option_string_actions, n=1)
        raise InputError(message + (f"; did you mean {near[0]}?" if near else ""))


def from_keywords(given: Mapping[str, Any]) -> argparse.Namespace:
    """Options from keywords, by the command line's own parser: its names, types, choices and defaults hold for both.

    Raises:
        InputError: a value that the command line would refuse.
    """
    words: list[str] = []
    for name, value in given.items():
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif isinstance(value, list | tuple):
            words += [option, *map(str, value)]
        elif value is not None and value is not False:
            try:
                words.append(f"{option}={json.dumps(value) if isinstance(value, dict) else value}")
            except TypeError as error:
                raise InputError(
                    f"{name} must hold plain values ({error}); for others, give the module itself"
                ) from error
    return parser().parse_args(words)


def check(options: argparse.Namespace) -> None:
    """Raises InputError for numbers that are out of range whatever the method."""
    for name, least in LEAST.items():
        value, most = getattr(options, name), MOST.get(name, 2**31)
        if value is not None and not least <= value <= most:
            bound = f"at least {least}" if value < least else f"at most {most}"
            raise InputError(f"--{name.replace('_', '-')} must be {bound}, not {value}")


def changed(options: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Those options that have another value than their default."""
    defaults = parser()
    return {name: getattr(options, name) for name in names if getattr(options, name) != defaults.get_default(name)}


def own_weights(options: argparse.Namespace) -> bool:
    """Whether the classifier is a name alone, everything else about it being its own."""
    return not changed(options, (*TRAINED[1:], "model_args"))


def model_args(options: argparse.Namespace) -> dict[str, Any]:
    """The classifier's constructor arguments."""
    try:
        arguments = json.loads(options.model_args)
    except json.JSONDecodeError as error:
        raise InputError(f"--model-args is not JSON ({error}); write for instance '{{\"width\": 32}}'") from error
    if not isinstance(arguments, dict):
        raise InputError("--model-args must be a JSON object, for instance '{\"width\": 32}'")
    return arguments
