"""The options of `explain.py`. Nothing here imports torch, so that help and mistakes are answered at once."""

import argparse
from pathlib import Path
from typing import Any, get_args

from amortex.app.parsing import OneLineParser, json_object, named_folder, one_of
from amortex.classifiers.default import Activation
from amortex.core.modalities import MODALITIES
from amortex.explainers import METHODS, SPATIAL_PENALTY
from amortex.explainers.presets import PRESETS, Initial
from amortex.obfuscations import OBFUSCATIONS
from amortex.rate_distortion import DistortionName
from amortex.rate_distortion.problem import Domain, Problem
from amortex.transforms import Padding

AMORTIZED = "amortized"
AMORTIZED_OPTIONS = (
    "lambda_k", "rate", "hard", "select_rate", "max_distortion", "min_retention", "learned_steps", "passes",
    "finetune_steps",
)  # fmt: skip
# options of one method or several, which the others refuse
METHOD_OPTIONS = {name: (*entry.options, "min_retention") for name, entry in METHODS.items()}
METHOD_OPTIONS[AMORTIZED] = AMORTIZED_OPTIONS


def build_parser() -> argparse.ArgumentParser:
    """The command line of `explain.py`; it raises InputError for what it does not understand."""
    parser = OneLineParser(
        prog="explain.py",
        description="Explain a classifier's decisions on images, sounds or volumes, and measure the explanations.",
        epilog="Exit status: 0 all explained, 1 some files could not be, 2 nothing done (bad input), 130 interrupted "
        "(the same command goes on).",
    )
    running = add_options(parser)
    running.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps; default: %(default)s")
    return parser


def add_options(parser: argparse.ArgumentParser) -> Any:
    """Add all options but the device; returns the last group.

    Those of a method default to None, so that one given to another method can be refused.
    """
    parser.add_argument("inputs", nargs="*", help="files and folders; by default bundled ones")
    parser.add_argument(
        "--modality",
        **one_of("modality", MODALITIES),
        help="the kind of signals; default: as the classifier or the endings of the files tell, or else image",
    )
    parser.add_argument(
        "--domain",
        **one_of("domain", get_args(Domain)),
        default=Problem.domain,
        help="what is explained of a sound: its waveform, or the log-mel spectrogram that the classifier makes of it; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--method",
        **one_of("method", METHOD_OPTIONS),
        help="default: amortized where there is an explainer for this classifier, wavelet and noise, or else cartoonx",
    )
    parser.add_argument(
        "--explainer",
        type=Path,
        help="trained explainer: a checkpoint or a release folder; default: the one that amortex brings, if it does",
    )
    parser.add_argument(
        "--target",
        default="auto",
        help="class index or name to explain (index:10 or name:10, where names are numbers); auto: the predicted class "
        "(default)",
    )
    parser.add_argument(
        "--out",
        type=named_folder,
        help="folder for the results; default: explanations/METHOD, or METHOD-audio and so on",
    )
    parser.add_argument("--overwrite", action="store_true", help="forget what the folder holds instead of resuming")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    _add_method_options(parser.add_argument_group("method"))
    _add_measuring_options(parser.add_argument_group("rate and distortion"))
    _add_classifier_options(parser.add_argument_group("classifier"))
    running = parser.add_argument_group("running")
    _add_running_options(running)
    return running


def _add_method_options(group: Any) -> None:
    group.add_argument("--preset", **one_of("preset", PRESETS), help="how RDE methods optimise; default: fast")
    group.add_argument("--lambda-k", type=float, help="sparsity weight of RDE methods; default: 5 (preset paper: 20)")
    group.add_argument(
        "--steps", type=int, help="gradient steps of RDE methods and minimal; default: the preset's, 500"
    )
    group.add_argument(
        "--samples", type=int, help="noise draws per step (RDE), inputs averaged (wam_sg), intervals (wam_ig)"
    )
    group.add_argument("--lr", type=float, help="learning rate of RDE methods and minimal")
    group.add_argument("--init", **one_of("start", get_args(Initial)), help="start of RDE methods; default: ones")
    group.add_argument(
        "--spatial-penalty",
        type=float,
        help="weight of the mean absolute value of the explanation's pixels, RDE methods; default: 0 "
        f"(shearletx, waveletx: {SPATIAL_PENALTY:g})",
    )
    group.add_argument(
        "--rate",
        type=float,
        help="share that masks of rankings keep (default: 0.05); mean of amortized masks (with learned steps it takes "
        "hundreds to thousands of classifier passes more beyond 0.06)",
    )
    group.add_argument("--hard", action="store_true", default=None, help="amortized: keep exactly the top share")
    group.add_argument(
        "--select-rate", action="store_true", default=None, help="amortized: choose the rate by measuring several"
    )
    group.add_argument("--max-distortion", type=float, help="amortized: the sparsest mask that is surely below this")
    group.add_argument(
        "--min-retention", type=float, help="the sparsest mask that surely keeps the class in this share of noise draws"
    )
    group.add_argument(
        "--learned-steps", type=int, help="amortized: learned steps from the predicted mask; 0 for one pass"
    )
    group.add_argument(
        "--passes",
        type=int,
        help="amortized: classifier passes to spend on each input, from 4 (one pass), with a target from 7",
    )
    group.add_argument("--finetune-steps", type=int, help="amortized: CartoonX steps that follow; default: 0")
    group.add_argument("--alpha", type=float, help="sparsity weight of minimal; default: 100")


def _add_measuring_options(group: Any) -> None:
    group.add_argument(
        "--obfuscation",
        **one_of("obfuscation", OBFUSCATIONS),
        help="default: gaussian; fading for waveforms, zero for minimal images",
    )
    distortions = one_of("distortion", get_args(DistortionName))
    group.add_argument("--distortion", **distortions, default=Problem.distortion, help="default: %(default)s")
    group.add_argument("--wavelet", help=f"any discrete wavelet of PyWavelets; default: {_by_modality('wavelet')}")
    levels_help = f"levels of wavelets and shearlets, Fourier octaves; default: {_by_modality('levels')}"
    group.add_argument("--levels", type=int, help=levels_help)
    group.add_argument(
        "--padding", **one_of("padding", get_args(Padding)), default=Problem.padding, help="default: %(default)s"
    )
    group.add_argument(
        "--certificate-samples",
        type=int,
        help="fresh draws per certificate; default: 64, and with --min-retention 256 or more",
    )


def _add_classifier_options(group: Any) -> None:
    group.add_argument(
        "--classifier",
        help="timm name (also hf-hub:, local-dir:), bundled name (yamnet, digits3d, moving_digits), hf-audio:NAME, or "
        "package.module.Class or .function; default: " + _by_modality("classifier"),
    )
    weights_help = "auto, random, or a safetensors or checkpoint file; default: %(default)s"
    group.add_argument("--weights", default=Problem.weights, help=weights_help)
    group.add_argument("--num-classes", type=int, help="default: read off the weights")
    group.add_argument(
        "--class-names", help="text file, one name per line; or JSON: a list, or a table of indices and names"
    )
    group.add_argument("--model-args", type=json_object, metavar="JSON", help="object of constructor arguments")
    group.add_argument(
        "--activation",
        **one_of("activation", get_args(Activation)),
        default=Problem.activation,
        help="what makes probabilities of its outputs: softmax; sigmoid, for several labels at once; none, if they are "
        "probabilities; auto looks whether they are, and is softmax if not; default: %(default)s",
    )
    group.add_argument(
        "--input-size", type=int, nargs="+",
        help="side of the input (of sound its samples), or channels and sides; default: the classifier's own",
    )  # fmt: skip
    group.add_argument("--mean", type=float, nargs="+", help="of the normalisation, per channel")
    group.add_argument("--std", type=float, nargs="+", help="of the normalisation, per channel")
    group.add_argument(
        "--value-range", type=float, nargs=2, metavar=("LOW", "HIGH"),
        help="what inputs are clipped to; default: 0 1, of sound -1 1",
    )  # fmt: skip


def _add_running_options(group: Any) -> None:
    group.add_argument("--batch-size", type=int, default=8, help="inputs explained at once; default: %(default)s")
    group.add_argument("--internal-batch-size", type=int, default=Problem.internal_batch_size,
                       help="most obfuscated inputs in memory; default: %(default)s")  # fmt: skip
    group.add_argument(
        "--batch-invariant", action="store_true", help="results are the same to the last bit in any batch; slower"
    )
    group.add_argument(
        "--compile", action="store_true", help="compile the classifier: may be faster on GPUs, in long runs"
    )
    group.add_argument("--no-panels", action="store_true", help="write no panels, only explanations and masks")
    group.add_argument("--quiet", action="store_true", help="no progress bar and no report, only errors")


def _by_modality(name: str) -> str:
    """The defaults of an option: that of images, and those of other signals."""
    image, *others = MODALITIES.values()
    return ", ".join([str(getattr(image, name)), *(f"of {other.noun}s {getattr(other, name)}" for other in others)])
