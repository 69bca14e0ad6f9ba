"""Photographs as people have them -> tensors as the classifier wants them."""

import os
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from timm.data import create_transform
from torch import Tensor

from amortex.core.errors import InputError, escape

# Longer images are cropped around their centre before resizing: the centre crop would drop the rest anyway,
# and resizing a 10,000 x 1 strip to a short side of 256 would take gigabytes.
LONGEST_ASPECT = 4
WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
# Pillow knows these endings without being able to show the files, or only with other programs' help.
NOT_PHOTOGRAPHS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


class Source(NamedTuple):
    """An input file.

    Arguments:
        path: where it is.
        name: path, relative to the output folder, that its results are named after.
        title: what to call it in results; by default its path.
    """

    path: Path
    name: Path
    title: str | None = None

    @property
    def label(self) -> str:
        """What the file is called in results, in one line."""
        return escape(self.path if self.title is None else self.title)


def open_image(file: Path | str | IO[bytes]) -> Image.Image:
    """Open an image file, whatever its ending, that Pillow itself can read.

    Raises:
        OSError and many others: it is none.
    """
    if isinstance(file, str | Path) and os.path.exists(file) and not os.path.isfile(file):
        raise OSError("no regular file")  # a pipe would be waited for
    Image.init()
    return Image.open(file, formats=[name for name in Image.OPEN if name not in NOT_PHOTOGRAPHS])


Photograph = str | Path | Image.Image


class Preprocess:
    """PIL image -> ``(C, H, W)`` in [0, 1], resized and cropped as timm does for evaluation."""

    def __init__(self, data_config: dict[str, Any]) -> None:
        self.mode = {1: "L", 3: "RGB"}.get(data_config["input_size"][0])
        if self.mode is None:
            raise InputError(f"a classifier with {data_config['input_size'][0]} input channels cannot read photographs")
        self.crops = data_config["crop_mode"] == "center"
        keys = ("input_size", "interpolation", "crop_pct", "crop_mode")
        self.transform = create_transform(**{key: data_config[key] for key in keys}, normalize=False)

    def __call__(self, image: Image.Image) -> Tensor:
        image = to_colour(image).convert(self.mode)
        pixels: Tensor = self.transform(_limit_aspect(image) if self.crops else image).float() / 255
        return pixels

    def load(self, path: str | Path) -> Tensor:
        """Read a file.

        Raises:
            InputError: it is missing, unreadable or not an image.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # large images are expected, damaged metadata is harmless
                with open_image(path) as image:
                    return self(image)
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file") from error
        except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
            why = str(error).replace(repr(str(path)), "").strip()
            raise InputError(f"{path}: not a readable image ({type(error).__name__}: {why})") from error


def to_colour(image: Image.Image) -> Image.Image:
    """RGB as a viewer would show it: EXIF rotation applied, 16 bit scaled to 8, transparency on white."""
    image = ImageOps.exif_transpose(image)
    if image.mode in WIDE_MODES:
        image = _to_8_bit(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Integers and floats wider than 8 bit: floats within [0, 1] are taken as such, else the full 16 bit range.

    Values that stay below 256 are taken as 8 bit in a wide format; those that are not numbers as black.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    top = 1.0 if image.mode == "F" and values.max() <= 1 else 255.0 if values.max() <= 255 else 65535.0
    return Image.fromarray((values / top * 255).round().clip(0, 255).astype(np.uint8))


def _limit_aspect(image: Image.Image) -> Image.Image:
    width, height = image.size
    limit = LONGEST_ASPECT * min(width, height)
    if max(width, height) <= limit:
        return image
    keep_w, keep_h = min(width, limit), min(height, limit)
    left, top = (width - keep_w) // 2, (height - keep_h) // 2
    return image.crop((left, top, left + keep_w, top + keep_h))


def find_images(arguments: Iterable[str], exclude: Path | None = None) -> Iterator[Source]:
    """Files as given, and every image below each folder in sorted order.

    Left out are hidden files and folders, what is below `exclude`, and pictures that a run left beside their mask.

    Raises:
        InputError: an argument does not exist, or nothing was found.
    """
    known = Image.registered_extensions()  # fills Image.OPEN
    endings = {ending for ending, format in known.items() if format in Image.OPEN and format not in NOT_PHOTOGRAPHS}
    excluded = None if exclude is None else os.path.realpath(exclude)  # unlike `resolve` it takes links in a circle
    found = False
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            for folder, folders, files in os.walk(path):
                folders[:] = sorted(f for f in folders if f[0] != "." and os.path.realpath(Path(folder, f)) != excluded)
                beside = set(files)
                for file in sorted(files):
                    full = Path(folder, file)
                    if full.suffix.lower() in endings and file[0] != "." and not _is_result(file, beside):
                        found = True
                        yield Source(full, full.relative_to(path))
        elif path.exists():
            found = True
            yield Source(path, Path(path.name))
        else:
            raise InputError(f"{argument}: no such file or folder")
    if not found:
        raise InputError(f"no images in {', '.join(map(str, arguments))}: give image files or folders that hold some")


def _is_result(file: str, beside: set[str]) -> bool:
    name = re.sub(r"_(explanation|panel)\.png$", "", file)
    return name != file and f"{name}_mask.safetensors" in beside
