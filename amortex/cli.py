"""The command line of `explain.py`."""

import argparse
import hashlib
import logging
import os
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from amortex import __version__
from amortex.classifiers import Classifier, load_classifier
from amortex.explainers import METHODS, PRESETS, RDE, WAM, Explainer, MinimalImage, StaticMinimalImage, build_explainer
from amortex.images import Source, find_images
from amortex.inference import Request, explain_files
from amortex.obfuscations import OBFUSCATION_NAMES
from amortex.options import check, model_args, parser
from amortex.rate_distortion import RateDistortion
from amortex.results import Results
from amortex.transforms import Fourier, Transform, Wavelet
from amortex.types import InputError

BUNDLED = ("chelsea.png", "coffee.png")

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
        print(f"explain.py: {error}; results written before are whole, the same command goes on", file=sys.stderr)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        print("explain.py: out of memory; try a smaller --internal-batch-size or --batch-size", file=sys.stderr)
    except KeyboardInterrupt:
        print("explain.py: interrupted; the same command resumes", file=sys.stderr)
        return 130
    return 2


def run(options: argparse.Namespace) -> int:
    check(options)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # our one line instead of its many retries
    sys.path.append(os.getcwd())  # a classifier's class path may lie in the current folder
    out = options.out or Path("explanations", options.method)
    unique: dict[Path, Source] = {}
    for source in find_images(options.inputs, exclude=out) if options.inputs else bundled():
        unique.setdefault(source.path.resolve(), source)
    sources = list(unique.values())
    torch.set_flush_denormal(True)  # tiny mask gradients otherwise slow convolutions tenfold on CPU
    torch.backends.cudnn.allow_tf32 = False  # the transform is a convolution, and exact only in full precision
    classifier = build_classifier(options).to(device(options.device))
    target = None if options.target == "auto" else classifier.class_index(options.target)
    explainer = build(options, classifier)
    results = Results(out, settings(options, explainer, target), options.overwrite)
    request = Request(
        explainer, options.method, target, options.certificate_samples, options.batch_size, not options.no_panels
    )
    if not options.quiet:
        print(f"explaining {len(sources)} images by {options.method}: {out}", flush=True)
    rows = explain_files(request, sources, results, options.quiet)
    return report(rows, len(sources), out, options.quiet)


def out_of_memory(error: Exception) -> bool:
    """Whether an error is the machine's memory or a GPU's running out; torch has no type for the former."""
    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


def report(rows: list[dict[str, Any]], total: int, out: Path, quiet: bool) -> int:
    """Say what was done, list what failed; the exit status."""
    failed = [row for row in rows if row["error"]]
    if not quiet:
        for row in rows[:20]:
            if not row["error"]:
                print(
                    f"{row['file']}: {row['class_name']} {row['probability']:.1%}, rate {row['rate']:.2%}, "
                    f"distortion ({row['measure']}) {row['distortion']:.4f} [{row['ci_low']:.4f}, "
                    f"{row['ci_high']:.4f}], class {'' if row['retained'] else 'not '}retained, {row['seconds']:.1f} s"
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
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"device {name!r} cannot be used here: {first[:120]}; use auto or cpu") from error
    if chosen.type == "meta":
        raise InputError("device 'meta' computes nothing; use auto or cpu")
    return chosen


def build_classifier(options: argparse.Namespace) -> Classifier:
    return load_classifier(
        options.classifier,
        options.weights,
        options.num_classes,
        options.class_names,
        model_args(options),
        img_size=options.input_size,
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
    transform.layout(classifier.input_size[1:])  # refuses what is not exact before anything is written
    # minimal images set the rest to zero, and are measured as they are made
    obfuscation = options.obfuscation or ("zero" if kind in (MinimalImage, StaticMinimalImage) else "gaussian")
    rd = RateDistortion(
        classifier,
        transform,
        OBFUSCATION_NAMES[obfuscation](),
        options.distortion,
        options.internal_batch_size,
        options.batch_invariant,
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
        "weights_digest": rd.classifier.fingerprint(),
        "model_args": model_args(options),
        "class_names_digest": hashlib.blake2b(repr(rd.classifier.class_names).encode(), digest_size=8).hexdigest(),
        **{f"classifier_{key}": list(value) if isinstance(value, tuple) else value for key, value in config.items()},
        **{f"transform_{key}": value for key, value in rd.transform.settings().items()},
        "obfuscation": type(rd.obfuscation).__name__.lower(),
        "distortion": options.distortion,
        "certificate_samples": options.certificate_samples,
        "batch_invariant": options.batch_invariant,
        "amortex": __version__,
    }
