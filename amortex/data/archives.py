"""Archives of volumes as MedMNIST has them: one file with an array for each split."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from amortex.core.errors import InputError, first_line

ARRAY = "{}_images"  # name of the array of a split


def splits_of(path: Path) -> list[str]:
    """The splits in an archive: none where it is no archive of that sort."""
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        names = [Path(name).stem for name in archive.namelist()]
    ending = ARRAY.format("")
    return [name.removesuffix(ending) for name in names if name.endswith(ending)]


class ArchiveSource:
    """The volumes ``(N, D, H, W)`` or ``(N, C, D, H, W)`` of one split of an archive; they are read at once.

    Arguments:
        path: of the ``.npz`` file.
        split: ``train``, ``val``, ``test``, or what else the file has arrays ``SPLIT_images`` of.
        read: makes a signal of a volume with the values of the file.

    Raises:
        InputError: there is no such split; its array is damaged, or none of volumes.
    """

    def __init__(self, path: Path, split: str, read: Callable[[Tensor], Tensor]) -> None:
        self.stem, self.split, self.read = path.stem, split, read
        if split not in (splits := splits_of(path)):
            raise InputError(f"{path} has no split {split!r}: it has {', '.join(splits)}")
        try:
            with np.load(path, allow_pickle=False) as archive:
                self.volumes = archive[ARRAY.format(split)]
        except Exception as error:  # damaged archives raise many types
            raise InputError(f"{path} cannot be read: {first_line(error)}") from error
        if self.volumes.ndim not in (4, 5):
            raise InputError(f"{path}: {ARRAY.format(split)} has the axes {self.volumes.shape}, not (N, D, H, W)")

    def __len__(self) -> int:
        return len(self.volumes)

    def name(self, index: int) -> str:
        return f"{self.stem}_{self.split}{index:05d}"

    def open(self, index: int) -> Tensor:
        """The volume ``(C, D, H, W)``. For one that is none, the error of `read` passes."""
        return self.read(torch.from_numpy(self.volumes[index]))
