"""Which kind of signals is explained. Nothing here imports torch."""

import argparse
from collections.abc import Callable
from pathlib import Path

from amortex.app.keywords import option_name
from amortex.classifiers.bundled import BUNDLED
from amortex.classifiers.default import HF_AUDIO
from amortex.core.errors import InputError
from amortex.core.modalities import MODALITIES, Modality, modality_of
from amortex.io.bundled import bundled_folder, bundled_names
from amortex.io.finding import Source, find_files, kinds_in

MOST_SOUND_CHANNELS = 2  # of the default classifier: what is more is a height
IMAGE_PREFIXES = ("hf-hub:", "hf_hub:", "local-dir:")


def choose_modality(options: argparse.Namespace, spelled: Callable[[str], str] = option_name) -> Modality | None:
    """The kind of signals: as asked for, or as the classifier's name, input size or files tell, or images.

    None where only a classifier or a trained explainer can tell, when it is built.

    Raises:
        InputError: the classifier takes others than asked for; the files are of several kinds; an input size without
            channels.
    """
    named = _by_classifier(options.classifier)
    if options.domain == "mel" and options.modality not in (None, "audio"):
        raise InputError(
            f"{spelled('domain')} mel is of sounds, not {MODALITIES[options.modality].noun}s: leave it out"
        )
    asked = MODALITIES["audio"] if options.domain == "mel" else MODALITIES.get(options.modality)
    size = options.input_size
    if asked is None and named is None and size is not None and 2 <= len(size) <= 4:
        sides = options.classifier is None and len(size) == 2 and size[0] > MOST_SOUND_CHANNELS
        named = MODALITIES["image"] if sides else modality_of(len(size) - 1)
    _refuse_sides(size, asked or named, spelled)
    if asked is not None:
        if named not in (None, asked):
            raise InputError(
                f"{options.classifier} takes {named.noun}s, not {asked.noun}s: leave {spelled('modality')} out, or "
                f"name another {spelled('classifier')}"
            )
        return asked
    return named or _by_files(options, spelled)


def check_dims(options: argparse.Namespace, name: str, dims: int) -> None:
    """Note the kind of signals that a classifier of that name and so many axes takes.

    Raises:
        InputError: it takes others than were asked for, or than the files hold.
    """
    modality = modality_of(dims)
    if options.modality not in (None, modality.name):
        noun = MODALITIES[options.modality].noun
        raise InputError(f"{name} takes {modality.noun}s, not {noun}s: give another classifier, or {modality.noun}s")
    options.modality = modality.name


def sources_of(inputs: list[str], modality: Modality, exclude: Path) -> list[Source]:
    """The files of a kind of signals; where none are given, the bundled ones.

    Raises:
        InputError: there are none.
    """
    if inputs:
        return list(find_files(inputs, modality, exclude))
    return bundled_sources(modality)


def bundled_sources(modality: Modality = MODALITIES["image"]) -> list[Source]:
    """The signals that are explained where none are given, under their names."""
    folder = bundled_folder(modality.name)
    files = [str(folder / name) for name in bundled_names(modality.name)]
    sources = find_files(files or [str(folder)], modality)
    return [source._replace(title=source.path.name) for source in sources]


def _refuse_sides(size: list[int] | None, modality: Modality | None, spelled: Callable[[str], str]) -> None:
    """Raises InputError for the height and width of images without their channels."""
    if modality is not None and modality.dims == 2 and size is not None and len(size) == 2:
        sides = " ".join(map(str, size))
        raise InputError(f"{spelled('input_size')} takes one number, or the channels, too: 3 {sides} for images")


def _by_classifier(classifier: object) -> Modality | None:
    """The kind of signals that a name of a classifier tells: a class path tells nothing."""
    if not isinstance(classifier, str):
        return None
    default = next((modality for modality in MODALITIES.values() if modality.classifier == classifier), None)
    if classifier.startswith(HF_AUDIO):
        return MODALITIES["audio"]
    timm = classifier.startswith(IMAGE_PREFIXES) or ("." not in classifier and classifier not in BUNDLED)
    return default or (MODALITIES["image"] if timm else None)


def _by_files(options: argparse.Namespace, spelled: Callable[[str], str]) -> Modality | None:
    """The kind of signals that the endings of the files tell."""
    kinds = kinds_in(options.inputs)
    if len(kinds) > 1:
        found = " and ".join(f"{count} {MODALITIES[name].noun}{'s'[: count > 1]}" for name, count in kinds.items())
        raise InputError(f"there are {found}: choose with {spelled('modality')} {' or '.join(kinds)}")
    if kinds:
        return MODALITIES[next(iter(kinds))]
    known = options.classifier is None and options.explainer is None
    return MODALITIES["image"] if known else None
