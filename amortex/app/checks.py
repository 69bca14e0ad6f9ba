"""What can be said about options before torch is imported: whether they fit together, and what they leave open."""

import argparse
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from amortex.amortized.released import released
from amortex.app.keywords import option_name
from amortex.app.options import AMORTIZED, METHOD_OPTIONS, build_parser
from amortex.app.recognising import choose_modality
from amortex.core.errors import InputError
from amortex.core.modalities import MODALITIES, Modality
from amortex.explainers import METHODS
from amortex.io.members import split_member
from amortex.rate_distortion import CONFIDENCE
from amortex.rate_distortion.problem import DEFAULTS_OF_MODALITY, MOST_LEVELS, Problem

BOUNDS = {
    "seed": (0, 2**31), "levels": (1, MOST_LEVELS), "certificate_samples": (2, 2**31), "num_classes": (1, 2**31),
    "input_size": (1, 2**31), "batch_size": (1, 2**31), "internal_batch_size": (1, 2**31),
}  # fmt: skip
DEFAULTS = vars(build_parser().parse_args([]))  # of all options
# Options that describe the problem. Where they are given, a trained explainer must have been trained for that, ...
PROBLEM_OPTIONS = tuple(field.name for field in fields(Problem) if field.name in DEFAULTS)
# ... but for these, which it does not depend on.
OPEN_OPTIONS = ("input_size", "internal_batch_size", "batch_invariant")
UNTRAINED = "cartoonx"  # the method where there is no trained explainer
NAMED_KINDS = ("audio", "volume", "mel")  # in the name of the default folder, so that they do not meet in one


def complete(options: argparse.Namespace, spelled: Callable[[str], str] = option_name) -> None:
    """Check the options, and choose modality, classifier, method, trained explainer and output folder if they are open.

    The modality stays open where only the classifier tells it, once it is built.

    Arguments:
        options: as parsed.
        spelled: how errors write the name of an option: the command line's ``--lambda-k``, or a keyword.

    Raises:
        InputError: numbers out of range; options that do not fit together, or that the method does not have.
    """
    for name, (least, most) in BOUNDS.items():
        given = getattr(options, name)
        for value in given if isinstance(given, list) else [] if given is None else [given]:
            if not least <= value <= most:
                bound = f"at least {least}" if value < least else f"at most {most}"
                raise InputError(f"{spelled(name)} must be {bound}, not {value}")
    modality = choose_modality(options, spelled)
    options.modality = None if modality is None else modality.name
    if modality is not None and options.classifier is None and options.explainer is None:
        options.classifier = modality.classifier
    _choose_method(options, modality, spelled)
    method_arguments(options, spelled)
    _check_samples(options, spelled)
    if options.compile and options.method in METHODS and METHODS[options.method].kind == "classical":
        raise InputError(f"{options.method} reads layers, which compiling hides: leave out {spelled('compile')}")


def default_folder(options: argparse.Namespace) -> Path:
    """The folder for results where none is asked for, when the modality is known."""
    kind = [word for word in (options.modality, options.domain) if word in NAMED_KINDS]
    return Path("explanations", "-".join([options.method, *kind]))


def _other_class(options: argparse.Namespace) -> bool:
    """Whether another class than the predicted one may be asked for."""
    return getattr(options, "target", "auto") != "auto"


def _check_samples(options: argparse.Namespace, spelled: Callable[[str], str]) -> None:
    """Raises InputError for certificates of too few draws to show a retention, even if all keep the class."""
    retention, samples = options.min_retention, options.certificate_samples
    if retention is None or samples is None or not 0 < retention < 1:
        return
    needed = math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(retention))  # Clopper-Pearson, where all draws do
    if samples < needed:
        raise InputError(
            f"certificates of {samples} draws cannot show a retention of {retention:g}: "
            f"{spelled('certificate_samples')} must be at least {needed}"
        )


def _choose_method(options: argparse.Namespace, modality: Modality | None, spelled: Callable[[str], str]) -> None:
    """Choose the trained explainer where there is one, since it needs the fewest passes, and else CartoonX.

    For another class than the predicted one it must have learned to explain such classes.
    """
    by_name = isinstance(options.classifier, str)
    given = changed_options(options, PROBLEM_OPTIONS)
    defaults = {name: getattr(modality, name) for name in DEFAULTS_OF_MODALITY} if modality else {}
    changed = [
        name for name, value in given.items()
        if name not in ("classifier", *OPEN_OPTIONS)
        and (tuple(value) if isinstance(value, list) else value) != defaults.get(name)
    ]  # fmt: skip
    if options.method in (None, AMORTIZED) and options.explainer is None and by_name and not changed:
        options.explainer = released(options.classifier, other_classes=options.method is None and _other_class(options))
    if options.explainer is None:
        _refuse_what_needs_an_explainer(options, changed, spelled)
        if options.method is None and by_name and released(options.classifier):
            options.untrained_for = changed or ["target"]
    options.method = options.method or (UNTRAINED if options.explainer is None else AMORTIZED)
    if options.method != AMORTIZED and options.explainer is not None:
        raise InputError(f"{options.method} needs no {spelled('explainer')}: leave one of them out")


def _refuse_what_needs_an_explainer(
    options: argparse.Namespace, changed: Sequence[str], spelled: Callable[[str], str]
) -> None:
    """Raises InputError where a method or an option asks for a trained explainer, and there is none.

    `changed` are the options by which the problem is another one than that of the bundled explainer.
    """
    of_others = {name for method in METHODS for name in METHOD_OPTIONS[method]}
    alone = [name for name in METHOD_OPTIONS[AMORTIZED] if name not in of_others and options.method is None]
    wanted = " and ".join(spelled(name) for name in alone if getattr(options, name) is not None)
    if options.method != AMORTIZED and not wanted:
        return
    by_name = isinstance(options.classifier, str)
    classifier = options.classifier if by_name else "a classifier of your own"
    out, bundled = f"leave out {wanted}, or " * bool(wanted), by_name and released(options.classifier)
    if bundled and not changed:
        raise InputError(
            f"the explainer of {classifier} has no learned steps for a class of your choice, and {UNTRAINED}, which "
            f"explains it instead, has no {wanted}: {out}{spelled('target')}"
        )
    settings = " with " + " and ".join(map(spelled, changed)) if bundled else ""
    raise InputError(
        f"there is no trained explainer for {classifier}{settings}: {out}train one, and give its file as "
        f"{spelled('explainer')}"
    )


def method_arguments(options: argparse.Namespace, spelled: Callable[[str], str] = option_name) -> dict[str, Any]:
    """Those options of the method that are given.

    Raises:
        InputError: an option of another method is given.
    """
    allowed = METHOD_OPTIONS[options.method]
    known = dict.fromkeys(name for names in METHOD_OPTIONS.values() for name in names)
    arguments = {name: getattr(options, name) for name in known if getattr(options, name) is not None}
    for name in arguments:
        if name not in allowed:
            offer = ", ".join(map(spelled, allowed)) or "no options of its own"
            raise InputError(
                f"{options.method} has no {spelled(name)}; it has {offer}; or choose another {spelled('method')}"
            )
    return arguments


def changed_options(options: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of the named options that have another value than their default."""
    return {name: getattr(options, name) for name in names if getattr(options, name) != DEFAULTS[name]}


def check_value_range(value_range: Sequence[float] | None, modality: Modality) -> None:
    """Raises InputError where a value range was given that is not that of signals that are read from files."""
    if value_range is not None and tuple(value_range) != modality.value_range:
        (low, high), (given_low, given_high) = modality.value_range, value_range
        raise InputError(
            f"{modality.noun}s have values in [{low:g}, {high:g}], whatever their files hold, not in [{given_low:g}, "
            f"{given_high:g}]: leave the range out, and give mean and std for values in [{low:g}, {high:g}]"
        )


def check_files(options: argparse.Namespace) -> None:
    """Raises InputError where a file that an option names is not there, or the inputs cannot have such values."""
    if options.modality is not None:
        check_value_range(options.value_range, MODALITIES[options.modality])
    for path in options.inputs:
        if not os.path.exists(split_member(path)[0]):
            raise InputError(f"{path}: no such file or folder")
    weights = None if options.weights in ("auto", "random") else options.weights
    for option, path in (
        ("--explainer", options.explainer), ("--weights", weights), ("--class-names", options.class_names),
    ):  # fmt: skip
        if path is not None and not os.path.exists(path):
            raise InputError(f"{option} {path}: no such file or folder")
