"""Sources: numbered lists of photographs without labels."""

import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from amortex.core.errors import InputError, escape
from amortex.io.images import find_images, open_image, to_colour

NAMED = 20  # unreadable images that are named: a folder that disappears has thousands
logger = logging.getLogger(__name__)


class ImageSource(Protocol):
    """A numbered list of photographs."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What to call an image in results."""

    def open(self, index: int) -> Image.Image:
        """The RGB image; a broken one raises whatever its decoder does."""


def decode(file: str | IO[bytes] | Image.Image) -> Image.Image:
    """RGB image of a path, an open file or an image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # large images are expected, damaged metadata is harmless
        with file if isinstance(file, Image.Image) else open_image(file) as image:
            return to_colour(image)


class Files:
    """Image files; links to one file count once, so that no image is in two parts of a folder."""

    def __init__(self, paths: Sequence[str], root: Path) -> None:
        self.paths, self.root = paths, root

    @classmethod
    def below(cls, path: str | Path) -> "Files":
        """All images below a folder, in sorted order, or one file.

        Raises:
            InputError: there are none.
        """
        root = Path(os.path.realpath(path))
        found = (source.path for source in find_images([str(root)]))
        unique = dict.fromkeys(os.path.realpath(file) if file.is_symlink() else str(file) for file in found)
        return cls(list(unique), root if root.is_dir() else root.parent)

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        return os.path.relpath(self.paths[index], self.root)

    def open(self, index: int) -> Image.Image:
        return decode(self.paths[index])


class Library:
    """A random-access data set of timm or torchvision."""

    def __init__(self, dataset: Any, name: str) -> None:
        self.dataset, self.prefix = dataset, name

    def __len__(self) -> int:
        return len(self.dataset)

    def name(self, index: int) -> str:
        try:
            return str(self.dataset.filename(index))
        except Exception:  # torchvision has no names; some of timm's readers neither
            return f"{self.prefix}/{index}"

    def open(self, index: int) -> Image.Image:
        # timm's reader itself: its data set would replace broken images silently, and drop transparency
        reader = getattr(self.dataset, "reader", self.dataset)
        file = reader[index][0]
        try:
            return decode(file)
        finally:
            file.close()


class Subset:
    """Some images of a source."""

    def __init__(self, source: ImageSource, indices: Sequence[int] | NDArray[Any]) -> None:
        self.source, self.indices = source, np.asarray(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, index: int) -> str:
        return self.source.name(int(self.indices[index]))

    def open(self, index: int) -> Image.Image:
        return self.source.open(int(self.indices[index]))


class Memory:
    """A source that keeps decoded images while they fit.

    Arguments:
        limit: bytes to keep in each process.
        side: shrink every image to this short side, kept or not, so that what is kept changes no result.
    """

    def __init__(self, source: ImageSource, limit: float, side: int | None = None) -> None:
        self.source, self.limit, self.side = source, limit, side
        self.kept: dict[int, NDArray[Any]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self.source)

    def name(self, index: int) -> str:
        return self.source.name(index)

    def open(self, index: int) -> Image.Image:
        if index in self.kept:
            return Image.fromarray(self.kept[index])
        image = self.source.open(index)
        if self.side is not None and min(image.size) > self.side:
            factor = self.side / min(image.size)
            size = (round(image.width * factor), round(image.height * factor))
            image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
        pixels = np.asarray(image)
        if self.bytes + pixels.nbytes <= self.limit:
            self.kept[index] = pixels
            self.bytes += pixels.nbytes
        return image


class Decoded(list[tuple[Image.Image, str]]):
    """A source in memory: a list of (RGB image, name)."""

    def name(self, index: int) -> str:
        return self[index][1]

    def open(self, index: int) -> Image.Image:
        return self[index][0]


class Readable:
    """Opens the next readable image, and says once which are not.

    What is known to be broken is shared by the loader's workers.
    """

    def __init__(self, source: ImageSource, broken: Tensor | None = None) -> None:
        self.source = source
        self.broken = torch.zeros(len(source), dtype=torch.bool).share_memory_() if broken is None else broken

    def open(self, index: int) -> tuple[Image.Image, str]:
        """The image `index`, or the first readable one after it, and its name.

        Raises:
            InputError: no image can be read.
        """
        size = len(self.source)
        for i in (i % size for i in range(index, index + size)):
            if self.broken[i]:
                continue
            try:
                return self.source.open(i), self.source.name(i)
            except MemoryError:
                raise
            except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
                if not self.broken[i]:
                    self.broken[i] = True
                    self._tell(self.source.name(i), error)
        raise InputError(f"none of {size} images can be read, the last of them {self.source.name(size - 1)}")

    def _tell(self, name: str, error: Exception) -> None:
        count = int(self.broken.sum())
        if count <= NAMED:
            logger.warning(
                "%s: not a readable image, left out (%s)", escape(name), escape(f"{type(error).__name__}: {error}")
            )
        if count == NAMED:
            logger.warning("further unreadable images are left out without being named")
