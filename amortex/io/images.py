"""From photographs as people have them to tensors as classifiers take them."""

import io
import logging
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps
from timm.data import create_transform
from torch import Tensor

from amortex.core.errors import InputError
from amortex.io.finding import NOT_PHOTOGRAPHS
from amortex.io.readers import Readable, readable

logger = logging.getLogger(__name__)
# Longer images are cropped around their centre before they are resized. The centre crop would drop the rest anyway,
# and resizing a 10,000 x 1 strip to a short side of 256 would take gigabytes.
MAX_ASPECT_RATIO = 4
WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


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
        with readable("the image", "image", image):
            return self._pixels(image)

    def load(self, file: Readable) -> Tensor:
        """Read a file, or what one holds.

        Raises:
            InputError: it is missing, unreadable or not an image.
        """
        name, content = ("bytes", io.BytesIO(file)) if isinstance(file, bytes) else (str(file), str(file))
        with readable(name, "image", content), open_image(content) as image:
            return self._pixels(image)

    def give_notices(self) -> None:
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
