"""The command line of `explain.py`."""

import argparse
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import torch

from amortex.classifiers import DEFAULT_CLASSIFIER, Classifier, load_classifier, parse_model_args
from amortex.distortions import DISTORTIONS
from amortex.explainers import METHODS, PRESETS, RDE, WAM, Explainer, MinimalImage, build_explainer
from amortex.explainers.initial import Initial
from amortex.images import Source, find_images
from amortex.inference import Request, explain_files
from amortex.obfuscations import OBFUSCATIONS
from amortex.rate_distortion import RateDistortion
from amortex.results import Results
from amortex.transforms import Fourier, Transform, Wavelet
from amortex.transforms.wavelet import Mode
from amortex.types import InputError

BUNDLED = ("chelsea.png", "coffee.png")
OBFUSCATION_NAMES = {kind.__name__.lower(): kind for kind in OBFUSCATIONS}


def parser() -> argparse.ArgumentParser:
    """The options; those of a method default to None, so that one given to another method can be refused."""
    p = argparse.ArgumentParser(
        prog="explain.py",
        description="Explain a classifier's decisions on photographs, and measure the explanations.",
        epilog="Exit status: 0 all explained, 1 some files could not be, 2 nothing done (bad input).",
    )
    p.add_argument("inputs", nargs="*", help="images and folders; by default two bundled photographs")
    p.add_argument("--method", choices=METHODS, default="cartoonx", help="default: %(default)s")
    p.add_argument("--target", default="auto", help="class index or name to explain; auto: the predicted class (default)")
    p.add_argument("--out", type=Path, help="folder for the results; default: explanations/METHOD")
    p.add_argument("--overwrite", action="store_true", help="forget what the folder holds instead of resuming")
    p.add_argument("--seed", type=int, default=0, help="default: %(default)s")

    g = p.add_argument_group("method")
    g.add_argument("--preset", choices=PRESETS, help="how RDE methods optimise; default: fast")
    g.add_argument("--lambda-k", type=float, help="sparsity weight of RDE methods; default: 5 (preset paper: 20)")
    g.add_argument("--steps", type=int, help="gradient steps of RDE methods and minimal; default: the preset's, 500")
    g.add_argument("--samples", type=int, help="noise draws per step (RDE), inputs averaged (wam_sg), intervals (wam_ig)")
    g.add_argument("--lr", type=float, help="learning rate of RDE methods and minimal")
    g.add_argument("--init", choices=get_args(Initial), help="start of RDE methods; default: ones")
    g.add_argument("--rate", type=float, help="share of coefficients that WAM masks keep; default: 0.05")
    g.add_argument("--alpha", type=float, help="sparsity weight of minimal; default: 100")

    g = p.add_argument_group("rate and distortion")
    g.add_argument("--obfuscation", choices=OBFUSCATION_NAMES, default="gaussian", help="default: %(default)s")
    g.add_argument("--distortion", choices=DISTORTIONS, default="label_l2", help="default: %(default)s")
    g.add_argument("--wavelet", default="db3", help="any discrete wavelet of PyWavelets; default: %(default)s")
    g.add_argument("--levels", type=int, default=5, help="wavelet levels, Fourier octaves; default: %(default)s")
    g.add_argument("--padding", choices=get_args(Mode), default="zero", help="default: %(default)s")
    g.add_argument("--certificate-samples", type=int, default=64, help="fresh draws per certificate; default: %(default)s")

    g = p.add_argument_group("classifier")
    g.add_argument("--classifier", default=DEFAULT_CLASSIFIER, help="timm name (also hf-hub:, local-dir:) or package.module.Class; default: %(default)s")
    g.add_argument("--weights", default="auto", help="auto, random, or a safetensors or checkpoint file; default: %(default)s")
    g.add_argument("--num-classes", type=int, help="default: read off the weights")
    g.add_argument("--class-names", type=Path, help="text file, one name per line")
    g.add_argument("--model-args", default="{}", help="JSON object of constructor arguments")
    g.add_argument("--input-size", type=int, help="side of the square input; default: the classifier's own")
    g.add_argument("--mean", type=float, nargs="+", help="of the normalisation, per channel")
    g.add_argument("--std", type=float, nargs="+", help="of the normalisation, per channel")

    g = p.add_argument_group("running")
    g.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps; default: %(default)s")
    g.add_argument("--batch-size", type=int, default=8, help="images explained at once; default: %(default)s")
    g.add_argument("--internal-batch-size", type=int, default=16, help="most obfuscated images in memory; default: %(default)s")
    g.add_argument("--no-panels", action="store_true", help="write no panels, only pictures and masks")
    g.add_argument("--quiet", action="store_true", help="no progress bar and no report, only errors")
    return p


# the options of each kind of explainer; an option that the chosen one does not have is refused
OPTIONS: dict[Any, tuple[str, ...]] = {
    RDE: ("preset", "lambda_k", "steps", "samples", "lr", "init"),
    WAM: ("rate", "samples"),
    MinimalImage: ("steps", "lr", "alpha"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        return run(options)
    except InputError as error:
        print(f"explain.py: {error}", file=sys.stderr)
    except OSError as error:
        print(f"explain.py: {error}; what was written so far is whole, the same command resumes", file=sys.stderr)
    except KeyboardInterrupt:
        print("explain.py: interrupted; the same command resumes", file=sys.stderr)
        return 130
    return 2


def run(options: argparse.Namespace) -> int:
    for name, least in (("batch_size", 1), ("certificate_samples", 2), ("levels", 1), ("input_size", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise InputError(f"--{name.replace('_', '-')} must be at least {least}, not {value}")
    out = options.out or Path("explanations", options.method)
    sources = list(find_images(options.inputs, exclude=out)) if options.inputs else bundled()
    sources = list({source.path.resolve(): source for source in sources}.values())
    torch.set_flush_denormal(True)  # tiny mask gradients otherwise slow convolutions tenfold on CPU
    classifier = build_classifier(options).to(device(options.device))
    target = None if options.target == "auto" else classifier.class_index(options.target)
    explainer = build(options, classifier)
    results = Results(out, settings(options, explainer, target), options.overwrite)
    request = Request(
        explainer, options.method, target, options.certificate_samples, options.batch_size, not options.no_panels
    )
    rows = explain_files(request, sources, results, options.quiet)
    return report(rows, len(sources), out, options.quiet)


def report(rows: list[dict[str, Any]], total: int, out: Path, quiet: bool) -> int:
    """Say what was done, list what failed; the exit status."""
    failed = [row for row in rows if row["error"]]
    if not quiet:
        for row in rows[:20]:
            if not row["error"]:
                print(
                    f"{row['file']}: {row['class_name']} {row['probability']:.1%}, rate {row['rate']:.2%}, distortion "
                    f"{row['distortion']:.4f} [{row['ci_low']:.4f}, {row['ci_high']:.4f}], class "
                    f"{'retained' if row['retained'] else 'not retained'}, {row['seconds']:.1f} s"
                )
        before = total - len(rows)
        print(f"{len(rows) - len(failed)} explained" + (f", {before} were already" if before else "") + f": {out}")
    for row in failed:
        print(f"skipped: {row['error']}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {total} files could not be explained", file=sys.stderr)
    return 0 if not failed else 2 if len(failed) == total else 1


def bundled() -> list[Source]:
    """The two photographs that come with scikit-image: a cat and a cup of espresso."""
    folder = Path(str(resources.files("skimage") / "data"))
    return [Source(folder / name, Path(name)) for name in BUNDLED]


def device(name: str) -> torch.device:
    """The device meant by a name.

    Raises:
        InputError: it does not exist here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.empty(1, device=chosen)
    except Exception as error:  # unknown names and missing back ends raise several types
        first = str(error).splitlines()[0]
        raise InputError(f"device {name!r} cannot be used here: {first[:120]}; use auto or cpu") from error
    return chosen


def build_classifier(options: argparse.Namespace) -> Classifier:
    side = options.input_size
    return load_classifier(
        options.classifier,
        options.weights,
        options.num_classes,
        options.class_names,
        parse_model_args(options.model_args),
        input_size=None if side is None else (3, side, side),
        mean=options.mean,
        std=options.std,
    )


def build(options: argparse.Namespace, classifier: Classifier) -> Explainer:
    """The explainer that the options ask for."""
    kind, _, transform_kind = METHODS[options.method]
    allowed = OPTIONS.get(kind, ())
    given = {}
    for name in dict.fromkeys(name for names in OPTIONS.values() for name in names):
        value = getattr(options, name)
        if value is None:
            continue
        if name not in allowed:
            has = ", ".join("--" + other.replace("_", "-") for other in allowed) or "no options of its own"
            raise InputError(f"{options.method} has no --{name.replace('_', '-')}; it has {has}")
        given[name] = value
    transform: Transform = transform_kind()
    if transform_kind is Wavelet:
        transform = Wavelet(options.wavelet, options.levels, options.padding)
    elif transform_kind is Fourier:
        transform = Fourier(options.levels)
    rd = RateDistortion(
        classifier,
        transform.to(classifier.mean.device),
        OBFUSCATION_NAMES[options.obfuscation](),
        options.distortion,
        options.internal_batch_size,
    )
    if kind is RDE:
        preset = PRESETS[given.pop("preset", "fast")]
        given["preset"] = preset.but(**{name: given.pop(name, None) for name in ("steps", "samples", "lr")})
    return build_explainer(options.method, rd, seed=options.seed, **given)


def settings(options: argparse.Namespace, explainer: Explainer, target: int | None) -> dict[str, Any]:
    """Everything that determines the results, as plain values: written beside them, compared when resuming."""
    rd = explainer.rate_distortion
    config = rd.classifier.data_config
    return {
        "method": options.method,
        **{f"explainer_{key}": value for key, value in explainer.settings().items()},
        "asked_target": "auto" if target is None else target,
        "classifier": rd.classifier.name,
        "weights": rd.classifier.weights,
        **{f"classifier_{key}": list(value) if isinstance(value, tuple) else value for key, value in config.items()},
        **{f"transform_{key}": value for key, value in rd.transform.settings().items()},
        "obfuscation": options.obfuscation,
        "distortion": options.distortion,
        "certificate_samples": options.certificate_samples,
    }
