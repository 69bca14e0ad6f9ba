"""Reading images that may be broken."""

import logging

import torch
from PIL import Image
from torch import Tensor

from amortex.core.errors import InputError, escape
from amortex.data.sources import ImageSource

MAX_NAMED_FAILURES = 20  # unreadable images that are named: a folder that disappears has thousands
logger = logging.getLogger(__name__)


def try_open(source: ImageSource, index: int) -> Image.Image | str:
    """The image, or why it cannot be read."""
    try:
        return source.open(index)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        return escape(f"{type(error).__name__}: {error}")


class SkippingReader:
    """Opens images of a source, and tells which are broken. Each broken image is named once.

    Arguments:
        source: of the images.
        broken: ``(len(source),)`` bool, the images known to be broken; the loader's workers share it.
    """

    def __init__(self, source: ImageSource, broken: Tensor | None = None) -> None:
        self.source = source
        self.broken = torch.zeros(len(source), dtype=torch.bool).share_memory_() if broken is None else broken

    def check(self) -> None:
        """Raises InputError unless an image can be read. Names none: that is left to the process that leaves it out."""
        size, reason = len(self.source), ""
        for index in range(size):
            image = try_open(self.source, index)
            if not isinstance(image, str):
                return
            reason = reason or image
        raise InputError(f"none of {size} images can be read; the first: {escape(self.source.name(0))} ({reason})")

    def read(self, index: int) -> Image.Image | str:
        """The image `index`, or why it cannot be read."""
        image = try_open(self.source, index)
        if isinstance(image, str) and not self.broken[index]:
            self.broken[index] = True
            self._warn(self.source.name(index), image)
        return image

    def open(self, index: int) -> tuple[Image.Image, str]:
        """The image `index`, or the first readable one after it, and its name.

        Raises:
            InputError: no image can be read.
        """
        size = len(self.source)
        for candidate in (position % size for position in range(index, index + size)):
            if not self.broken[candidate] and not isinstance(image := self.read(candidate), str):
                return image, self.source.name(candidate)
        raise InputError(f"none of {size} images can be read, the last of them {self.source.name(size - 1)}")

    def _warn(self, name: str, reason: str) -> None:
        failures = int(self.broken.sum())
        if failures <= MAX_NAMED_FAILURES:
            logger.warning("%s: not a readable image, left out (%s)", escape(name), reason)
        if failures == MAX_NAMED_FAILURES:
            logger.warning("further unreadable images are left out without being named")
