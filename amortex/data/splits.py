"""Which signals validate, and which train."""

import logging

import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from amortex.core.errors import InputError
from amortex.data.libraries import ImageStream
from amortex.data.samples import SPLIT_STREAM, generator
from amortex.data.sources import DecodedSource, FileSource, SignalSource, SubsetSource
from amortex.io.images import to_colour

logger = logging.getLogger(__name__)


def take_evenly(source: SignalSource | ImageStream, count: int) -> SignalSource:
    """`count` signals of a source, evenly spaced, or all it has; of a stream, the first ones.

    Raises:
        InputError: the stream is empty.
    """
    if not isinstance(source, ImageStream):
        count = min(count, len(source))
        return SubsetSource(source, np.arange(count) * len(source) // count)
    images = zip(range(count), source.open(), strict=False)
    decoded = DecodedSource((to_colour(image), f"{source.name}/{index}") for index, (image, _) in images)
    if not decoded:
        raise InputError(f"{source.name}: no images in split {source.split!r}")
    return decoded


def split_at_random(
    source: SignalSource, count: int, seed: int, noun: str = "image"
) -> tuple[SignalSource, SignalSource]:
    """(training, validation) parts of a source: `count` signals validate, but at most half of them.

    Raises:
        InputError: there is only one.
    """
    size, asked = len(source), count
    count = min(count, size // 2)
    if count == 0:
        raise InputError(f"one {noun} is too few to hold one out for validation: give val, or more {noun}s")
    if count < asked:
        _warn_once(
            "validating on %d of %d %ss, not %d: at most half are held out; val names others", count, size, noun, asked
        )
    shuffled = generator(seed, SPLIT_STREAM, 0).permutation(len(source))
    return SubsetSource(source, np.sort(shuffled[count:])), SubsetSource(source, np.sort(shuffled[:count]))


@rank_zero_only
def _warn_once(message: str, *values: int | str) -> None:
    """Warn in one process of a run on several devices."""
    logger.warning(message, *values)


def exclude_validation(train: FileSource, val: SignalSource, noun: str = "image") -> FileSource:
    """The training files without those that validate.

    Raises:
        InputError: none is left.
    """
    if not (isinstance(val, SubsetSource) and isinstance(val.source, FileSource)):
        return train
    excluded = {val.source.paths[index] for index in val.indices}
    remaining = [path for path in train.paths if path not in excluded]
    if not remaining:
        raise InputError(f"every training {noun} is a validation {noun} as well: give another val, or fewer val_images")
    return FileSource(remaining, train.root, train.read)
