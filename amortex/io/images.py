"""From photographs as people have them to tensors as classifiers take them."""

import io
import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from timm.data import create_transform
from torch import Tensor

from amortex.core.errors import InputError, escape
from amortex.io.files import MASK_ENDING, PICTURE_ENDINGS

logger = logging.getLogger(__name__)
# Longer images are cropped around their centre before they are resized. The centre crop would drop the rest anyway,
# and resizing a 10,000 x 1 strip to a short side of 256 would take gigabytes.
MAX_ASPECT_RATIO = 4
WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
# Pillow knows the endings of these formats, but cannot show the files, or only with the help of other programs.
NOT_PHOTOGRAPHS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


class Source(NamedTuple):
    """An input file.

    Arguments:
        path: of the file.
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


def open_image(file: Path | str | IO[bytes]) -> Image.Image:
    """Open an image file, whatever its ending, that Pillow can read without other programs.

    Raises:
        OSError and many others: the file is no such image.
    """
    if isinstance(file, str | Path) and os.path.exists(file) and not os.path.isfile(file):
        raise OSError("no regular file")  # reading a pipe would wait for its writer
    Image.init()
    return Image.open(file, formats=[name for name in Image.OPEN if name not in NOT_PHOTOGRAPHS])


Photograph = str | Path | bytes | Image.Image


class Preprocess:
    """PIL image -> ``(C, H, W)`` in [0, 1], resized and cropped as timm does for evaluation.

    Arguments:
        data_config: timm's data config: ``input_size``, ``interpolation``, ``crop_pct`` and ``crop_mode``.

    Raises:
        InputError: the classifier does not take images, or images with other channels than grey or red, green, blue.
    """

    def __init__(self, data_config: dict[str, Any]) -> None:
        channels, *size = data_config["input_size"]
        if len(size) != 2:
            raise InputError(f"a classifier of signals with {len(size)} axes cannot read photographs")
        self.mode = {1: "L", 3: "RGB"}.get(channels)
        if self.mode is None:
            raise InputError(f"a classifier with {channels} input channels cannot read photographs")
        self.crops = data_config["crop_mode"] == "center"
        self.size, self.images, self.small_images = tuple(size), 0, 0
        keys = ("input_size", "interpolation", "crop_pct", "crop_mode")
        self.transform = create_transform(**{key: data_config[key] for key in keys}, normalize=False)

    def __call__(self, image: Image.Image) -> Tensor:
        """Pixels of an image.

        Raises:
            InputError: it cannot be decoded: its file is damaged or closed, or it has no pixels.
        """
        with readable("the image", image):
            return self._pixels(image)

    def load(self, file: str | Path | bytes) -> Tensor:
        """Read a file, or what one holds.

        Raises:
            InputError: it is missing, unreadable or not an image.
        """
        name, content = ("bytes", io.BytesIO(file)) if isinstance(file, bytes) else (str(file), str(file))
        with readable(name, content), open_image(content) as image:
            return self._pixels(image)

    def warn_of_small_images(self) -> None:
        """One notice of the images so far that are far smaller than the input."""
        if self.small_images:
            logger.warning(
                "%d of %d images are less than half as large as the classifier's input (%s): they are enlarged, and "
                "fine coefficients hold nothing",
                self.small_images, self.images, "x".join(map(str, self.size)),
            )  # fmt: skip

    def _pixels(self, image: Image.Image) -> Tensor:
        shorter = min(image.size)
        image = to_colour(image).convert(self.mode)
        pixels: Tensor = self.transform(_limit_aspect(image) if self.crops else image).float() / 255
        self.images += 1
        self.small_images += 2 * shorter < min(self.size)
        return pixels


@contextmanager
def readable(name: str, file: Any) -> Iterator[None]:
    """Within, what decoders raise of a file, which messages call by a name, is an InputError in one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # large images are expected, damaged metadata is harmless
            yield
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        reason = str(error).replace(repr(file), "").strip()
        raise InputError(f"{name}: not a readable image ({type(error).__name__}: {reason})") from error


def to_colour(image: Image.Image) -> Image.Image:
    """RGB as a viewer shows it: turned as EXIF says, 16 bit scaled to 8, transparency on white."""
    image = ImageOps.exif_transpose(image)
    if image.mode in WIDE_MODES:
        image = _to_8_bit(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale integers and floats wider than 8 bit by the range that their largest value suggests.

    Floats up to 1 span [0, 1], values up to 255 are 8 bit in a wide format, others span 16 bit. NaN becomes black.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    white = 1.0 if image.mode == "F" and values.max() <= 1 else 255.0 if values.max() <= 255 else 65535.0
    return Image.fromarray((values / white * 255).round().clip(0, 255).astype(np.uint8))


def _limit_aspect(image: Image.Image) -> Image.Image:
    """The image without its ends, if it is much longer than wide."""
    width, height = image.size
    limit = MAX_ASPECT_RATIO * min(width, height)
    if max(width, height) <= limit:
        return image
    crop_width, crop_height = min(width, limit), min(height, limit)
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return image.crop((left, top, left + crop_width, top + crop_height))


def find_images(arguments: Iterable[str], exclude: Path | None = None) -> Iterator[Source]:
    """Files as given, and every image below each folder, in sorted order.

    Hidden files and folders are left out, and so are what is below `exclude`, and pictures beside their mask, which a
    run has written.

    Raises:
        InputError: an argument does not exist, or there are no images.
    """
    excluded = None if exclude is None else os.path.realpath(exclude)  # unlike `resolve` it accepts circular links
    empty = True
    for argument in arguments:
        path = Path(argument)
        if not path.exists():
            raise InputError(f"{argument}: no such file or folder")
        for source in _images_below(path, excluded) if path.is_dir() else [Source(path, Path(path.name))]:
            empty = False
            yield source
    if empty:
        raise InputError(f"no images in {', '.join(map(str, arguments))}: give image files or folders that hold some")


def _images_below(root: Path, excluded: str | None) -> Iterator[Source]:
    """Every image in a folder and below, named by its path from there."""
    formats = Image.registered_extensions()  # fills Image.OPEN
    endings = {ending for ending, name in formats.items() if name in Image.OPEN and name not in NOT_PHOTOGRAPHS}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name for name in folders if name[0] != "." and os.path.realpath(Path(folder, name)) != excluded
        )
        siblings = set(files)
        for file in sorted(files):
            path = Path(folder, file)
            if path.suffix.lower() in endings and file[0] != "." and not _is_result(file, siblings):
                yield Source(path, path.relative_to(root))


def _is_result(file: str, siblings: set[str]) -> bool:
    """Whether a run has written this picture: its mask is beside it."""
    return any(
        file.endswith(ending) and file.removesuffix(ending) + MASK_ENDING in siblings for ending in PICTURE_ENDINGS
    )
