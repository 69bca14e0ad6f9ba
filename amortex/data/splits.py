"""Which images validate, and which train."""

import numpy as np

from amortex.core.errors import InputError
from amortex.data.libraries import Stream
from amortex.data.samples import generator
from amortex.data.sources import Decoded, Files, ImageSource, Subset
from amortex.io.images import to_colour

HOLD_OUT = 2  # stream of random numbers, beside those of the samples


def some(source: ImageSource | Stream, wanted: int) -> ImageSource:
    """So many images of a source, evenly spaced, or all it has; the first ones of a stream."""
    if not isinstance(source, Stream):
        wanted = min(wanted, len(source))
        return Subset(source, np.arange(wanted) * len(source) // wanted)
    images = zip(range(wanted), source.open(), strict=False)
    decoded = Decoded((to_colour(image), f"{source.name}/{i}") for i, (image, _) in images)
    if not decoded:
        raise InputError(f"{source.name}: no images in split {source.split!r}")
    return decoded


def hold_out(source: ImageSource, wanted: int, seed: int) -> tuple[ImageSource, ImageSource]:
    """(training, validation) parts of one source; at most half of it for validation."""
    wanted = min(wanted, len(source) // 2)
    if wanted == 0:
        raise InputError("one image is too few to hold one out for validation: give val, or more images")
    shuffled = generator(seed, HOLD_OUT, 0).permutation(len(source))
    return Subset(source, np.sort(shuffled[wanted:])), Subset(source, np.sort(shuffled[:wanted]))


def without(train: Files, val: ImageSource) -> Files:
    """Training files that are no validation images."""
    if not (isinstance(val, Subset) and isinstance(val.source, Files)):
        return train
    taken = {val.source.paths[i] for i in val.indices}
    rest = [path for path in train.paths if path not in taken]
    if not rest:
        raise InputError("every training image is a validation image as well: give another val, or fewer val_images")
    return Files(rest, train.root)
