"""Finding the files of one kind of signals, by their endings. Imports nothing heavy."""

import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from amortex.core.errors import InputError, escape
from amortex.core.modalities import MODALITIES, Modality
from amortex.io.files import MASK_ENDING, RESULT_ENDINGS
from amortex.io.members import arrays_of, is_array_file, split_member

# of what libsndfile reads
SOUND_ENDINGS = frozenset({
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64",
    ".rf64",
})  # fmt: skip
ARRAY_ENDINGS = frozenset({".npy", ".npz"})
VOLUME_ENDINGS = ARRAY_ENDINGS | {".nii", ".nii.gz"}
# Pillow knows the endings of these formats, but cannot show the files, or only with the help of other programs.
NOT_PHOTOGRAPHS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


class Source(NamedTuple):
    """An input: a file, or one array of a file.

    Arguments:
        path: of the file; of one array in a file ``file.npz:name[3]``.
        name: path, relative to the output folder, that its results are named after.
        title: what results call it; by default its path.
    """

    path: Path
    name: Path
    title: str | None = None

    @property
    def label(self) -> str:
        """What results call the file, in one line."""
        return escape(self.path if self.title is None else self.title)


@cache
def endings_of(modality: str) -> frozenset[str]:
    """The endings of the files that hold signals of a kind."""
    if modality == "image":
        from PIL import Image

        formats = Image.registered_extensions()  # fills Image.OPEN
        names = {ending for ending, name in formats.items() if name in Image.OPEN and name not in NOT_PHOTOGRAPHS}
        return frozenset(names)
    return {"audio": SOUND_ENDINGS, "volume": VOLUME_ENDINGS}[modality]


def kind_of(file: str | Path) -> str | None:
    """The name of the modality of a file, by its ending; None of others."""
    name = os.path.basename(split_member(file)[0]).lower()
    ending = ".nii.gz" if name.endswith(".nii.gz") else os.path.splitext(name)[1]
    return next((modality for modality in MODALITIES if ending in endings_of(modality)), None)


def kinds_in(arguments: Iterable[str]) -> dict[str, int]:
    """How many files of each kind there are among the arguments and in their folders."""
    counts: dict[str, int] = {}
    for argument in arguments:
        folder = os.path.isdir(argument)
        for kind in (kind for kind, _ in _files_below(Path(argument), None)) if folder else [kind_of(argument)]:
            if kind is not None:
                counts[kind] = counts.get(kind, 0) + 1
    return {name: counts[name] for name in MODALITIES if name in counts}


def find_files(
    arguments: Iterable[str], modality: Modality = MODALITIES["image"], exclude: Path | None = None
) -> Iterator[Source]:
    """Files as given, and every file of a kind of signals below each folder, in sorted order.

    Hidden files and folders are left out, and so are what is below `exclude`, and what a run has written. Each volume
    in a file of several is an input of its own.

    Raises:
        InputError: an argument does not exist, or there are no such files.
    """
    excluded = None if exclude is None else os.path.realpath(exclude)  # unlike `resolve` it accepts circular links
    empty = True
    for argument in arguments:
        if not os.path.exists(split_member(argument)[0]):
            raise InputError(f"{argument}: no such file or folder")
        for source in _sources_at(Path(argument), modality.name, excluded):
            empty = False
            yield source
    if empty:
        noun = modality.noun
        raise InputError(f"no {noun}s in {', '.join(map(str, arguments))}: give {noun} files or folders that hold some")


def _sources_at(path: Path, modality: str, excluded: str | None) -> Iterator[Source]:
    """The inputs of an argument: a file, one array of a file, or a folder."""
    if not path.is_dir():
        files = [Source(path, Path(path.name))]
    else:
        files = [
            Source(file, file.relative_to(path)) for kind, file in _files_below(path, excluded) if kind == modality
        ]
    for source in files:
        if modality == "volume" and is_array_file(source.path):
            yield from _arrays_in(source)
        else:
            yield source


def _arrays_in(source: Source) -> Iterator[Source]:
    """The volumes in a file of arrays, each as an input."""
    file, _, _ = split_member(source.path)
    try:
        members = arrays_of(source.path)
    except InputError:
        members = [os.fspath(source.path).removeprefix(file)]  # whoever reads it says what is wrong
    stem, ending = os.path.splitext(os.path.basename(file))
    for member in members:
        label = re.sub(r"[^\w.-]", "_", member.removesuffix("]"))  # names of arrays may hold anything
        yield Source(Path(file + member), source.name.with_name(f"{stem}{label}{ending}"))


def _files_below(root: Path, excluded: str | None) -> Iterator[tuple[str, Path]]:
    """Every file of a known kind in a folder and below, and its kind."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name for name in folders if name[0] != "." and os.path.realpath(Path(folder, name)) != excluded
        )
        siblings = set(files)
        for file in sorted(files):
            if file[0] != "." and (kind := kind_of(file)) is not None and not _is_result(file, siblings):
                yield kind, Path(folder, file)


def _is_result(file: str, siblings: set[str]) -> bool:
    """Whether a run has written this file: its mask is beside it."""
    return any(
        file.endswith(ending) and file.removesuffix(ending) + MASK_ENDING in siblings for ending in RESULT_ENDINGS
    )
