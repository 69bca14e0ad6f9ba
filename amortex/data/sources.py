"""Sources: numbered lists of signals without labels."""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from amortex.core.modalities import MODALITIES, Modality
from amortex.io.finding import find_files
from amortex.io.images import open_image, to_colour

CACHED_CROP = 0.875  # images in the cache have the short side input_size / CACHED_CROP


class SignalSource(Protocol):
    """A numbered list of signals: RGB images, or tensors ``(C, *size)`` of sound and volumes, of any size."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What results call the signal."""

    def open(self, index: int) -> Any:
        """The signal. For a broken one the decoder's error passes, whatever its type."""


def decode(file: str | IO[bytes] | Image.Image) -> Image.Image:
    """RGB image of a path, an open file or an image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # large images are expected, damaged metadata is harmless
        with file if isinstance(file, Image.Image) else open_image(file) as image:
            return to_colour(image)


class FileSource:
    """Files.

    Arguments:
        paths: of the files, or of single volumes in them.
        root: folder that names are relative to.
        read: makes a signal of a path.
    """

    def __init__(self, paths: Sequence[str], root: Path, read: Callable[[str], Any] = decode) -> None:
        self.paths, self.root, self.read = paths, root, read

    @classmethod
    def below(
        cls, path: str | Path, modality: Modality = MODALITIES["image"], read: Callable[[str], Any] = decode
    ) -> "FileSource":
        """One file, or all signals of a kind below a folder in sorted order.

        Links to one file count once. Otherwise a signal could be in two parts of a folder.

        Raises:
            InputError: there are none.
        """
        root = Path(os.path.realpath(path))
        files = (source.path for source in find_files([str(root)], modality))
        unique = dict.fromkeys(os.path.realpath(file) if file.is_symlink() else str(file) for file in files)
        return cls(list(unique), root if root.is_dir() else root.parent, read)

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        return os.path.relpath(self.paths[index], self.root)

    def open(self, index: int) -> Any:
        return self.read(self.paths[index])


class LibrarySource:
    """A random-access data set of timm or torchvision."""

    def __init__(self, dataset: Any, name: str) -> None:
        self.dataset, self.prefix = dataset, name

    def __len__(self) -> int:
        return len(self.dataset)

    def name(self, index: int) -> str:
        try:
            return str(self.dataset.filename(index))
        except Exception:  # neither torchvision nor all of timm's readers have names
            return f"{self.prefix}/{index}"

    def open(self, index: int) -> Image.Image:
        # timm's data set would replace broken images silently, and drop transparency: its reader does not
        reader = getattr(self.dataset, "reader", self.dataset)
        file = reader[index][0]
        try:
            return decode(file)
        finally:
            file.close()


class SubsetSource:
    """The signals of a source at given indices."""

    def __init__(self, source: SignalSource, indices: Sequence[int] | NDArray[Any]) -> None:
        self.source, self.indices = source, np.asarray(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, index: int) -> str:
        return self.source.name(int(self.indices[index]))

    def open(self, index: int) -> Any:
        return self.source.open(int(self.indices[index]))


class CachedSource:
    """A source whose decoded signals stay in memory while they fit.

    Arguments:
        source: of the signals.
        limit: bytes of signals in each process.
        side: short side in pixels to which every image is shrunk. Images that do not fit are shrunk, too, so that the
            cache changes no result.
    """

    def __init__(self, source: SignalSource, limit: float, side: int | None = None) -> None:
        self.source, self.limit, self.side = source, limit, side
        self.cache: dict[int, Tensor | NDArray[Any]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self.source)

    def name(self, index: int) -> str:
        return self.source.name(index)

    def open(self, index: int) -> Any:
        if index in self.cache:
            values = self.cache[index]
            return values if isinstance(values, Tensor) else Image.fromarray(values)
        signal = self.source.open(index)
        if self.side is not None and min(signal.size) > self.side:
            factor = self.side / min(signal.size)
            size = (round(signal.width * factor), round(signal.height * factor))
            signal = signal.resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
        values = signal if isinstance(signal, Tensor) else np.asarray(signal)
        if self.bytes + values.nbytes <= self.limit:
            self.cache[index] = values
            self.bytes += values.nbytes
        return signal


class DecodedSource(list[tuple[Image.Image, str]]):
    """A list of (RGB image, name)."""

    def name(self, index: int) -> str:
        return self[index][1]

    def open(self, index: int) -> Image.Image:
        return self[index][0]


def cached(source: SignalSource, limit: float, size: Sequence[int]) -> SignalSource:
    """The source with a cache of so many bytes, if any, for samples of a size; images are shrunk to little more."""
    if limit == 0 or isinstance(source, CachedSource):
        return source
    return CachedSource(source, limit, round(max(size) / CACHED_CROP) if len(size) == 2 else None)
