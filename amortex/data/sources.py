"""Sources: numbered lists of photographs without labels."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amortex.io.finding import find_files
from amortex.io.images import open_image, to_colour

CACHED_CROP = 0.875  # images in the cache have the short side input_size / CACHED_CROP


class ImageSource(Protocol):
    """A numbered list of photographs."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What results call the image."""

    def open(self, index: int) -> Image.Image:
        """The RGB image. For a broken one the decoder's error passes, whatever its type."""


def decode(file: str | IO[bytes] | Image.Image) -> Image.Image:
    """RGB image of a path, an open file or an image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # large images are expected, damaged metadata is harmless
        with file if isinstance(file, Image.Image) else open_image(file) as image:
            return to_colour(image)


class FileSource:
    """Image files.

    Arguments:
        paths: of the files.
        root: folder that names are relative to.
    """

    def __init__(self, paths: Sequence[str], root: Path) -> None:
        self.paths, self.root = paths, root

    @classmethod
    def below(cls, path: str | Path) -> "FileSource":
        """One file, or all images below a folder in sorted order.

        Links to one file count once. Otherwise an image could be in two parts of a folder.

        Raises:
            InputError: there are none.
        """
        root = Path(os.path.realpath(path))
        files = (source.path for source in find_files([str(root)]))
        unique = dict.fromkeys(os.path.realpath(file) if file.is_symlink() else str(file) for file in files)
        return cls(list(unique), root if root.is_dir() else root.parent)

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        return os.path.relpath(self.paths[index], self.root)

    def open(self, index: int) -> Image.Image:
        return decode(self.paths[index])


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
    """The images of a source at given indices."""

    def __init__(self, source: ImageSource, indices: Sequence[int] | NDArray[Any]) -> None:
        self.source, self.indices = source, np.asarray(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, index: int) -> str:
        return self.source.name(int(self.indices[index]))

    def open(self, index: int) -> Image.Image:
        return self.source.open(int(self.indices[index]))


class CachedSource:
    """A source whose decoded images stay in memory while they fit.

    Arguments:
        source: of the images.
        limit: bytes of images in each process.
        side: short side in pixels to which every image is shrunk. Images that do not fit are shrunk, too, so that the
            cache changes no result.
    """

    def __init__(self, source: ImageSource, limit: float, side: int | None = None) -> None:
        self.source, self.limit, self.side = source, limit, side
        self.cache: dict[int, NDArray[Any]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self.source)

    def name(self, index: int) -> str:
        return self.source.name(index)

    def open(self, index: int) -> Image.Image:
        if index in self.cache:
            return Image.fromarray(self.cache[index])
        image = self.source.open(index)
        if self.side is not None and min(image.size) > self.side:
            factor = self.side / min(image.size)
            size = (round(image.width * factor), round(image.height * factor))
            image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
        pixels = np.asarray(image)
        if self.bytes + pixels.nbytes <= self.limit:
            self.cache[index] = pixels
            self.bytes += pixels.nbytes
        return image


class DecodedSource(list[tuple[Image.Image, str]]):
    """A list of (RGB image, name)."""

    def name(self, index: int) -> str:
        return self[index][1]

    def open(self, index: int) -> Image.Image:
        return self[index][0]


def cached(source: ImageSource, limit: float, longest: int) -> ImageSource:
    """The source with a cache of so many bytes, if any, for crops whose longer side has `longest` pixels."""
    if limit == 0 or isinstance(source, CachedSource):
        return source
    return CachedSource(source, limit, round(longest / CACHED_CROP))
