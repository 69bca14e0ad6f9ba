"""From files of volumes to tensors as classifiers take them, and back."""

import io
import logging
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.nd import resize
from amortex.io.members import MOST_VALUES, VOLUME_DIMS, has_colours_last, read_array
from amortex.io.readers import Readable, readable, refuse_irregular

logger = logging.getLogger(__name__)
DARK = 15  # the largest value of an array of 8 bit that hardly holds grey values
NIFTI_ENDINGS, GIF_ENDING = (".nii", ".nii.gz"), ".gif"


class VolumeReader:
    """Volume file -> ``(C, D, H, W)`` in [0, 1], resized to the classifier's input; proportions are not kept.

    A clip is a volume of frames. Arrays of four axes whose last has 1 or 3 entries are such, ``(D, H, W, C)``.

    Values become [0, 1] by one rule: true is 1, false 0; values that lie in [0, 1] stay, whatever their type; those of
    8 bit are divided by 255; all others are scaled by the smallest and the largest value of the volume itself.

    Arguments:
        data_config: ``input_size`` ``(C, D, H, W)``.
    """

    def __init__(self, data_config: dict[str, Any]) -> None:
        self.channels, *size = data_config["input_size"]
        self.size = tuple(size)
        self.volumes = self.scaled = self.dark = 0

    def __call__(self, signal: NDArray[Any]) -> Tensor:
        """An array ``(D, H, W)``, ``(C', D, H, W)`` or ``(D, H, W, C')`` in memory.

        Raises:
            InputError: it has other axes or channels, is empty, or has values that are no finite numbers.
        """
        return self._fitted(signal, "the volume")

    def load(self, file: Readable) -> Tensor:
        """Read one volume of a file of NumPy's or NIfTI's format, or of what one holds; nothing is unpickled.

        The frames of a GIF are one, too.

        Raises:
            InputError: it is missing, unreadable, damaged, too large, or no volume.
        """
        name = "bytes" if isinstance(file, bytes) else str(file)
        with readable(name, "volume", file):
            ending = "" if isinstance(file, bytes) else name.lower()
            gif, nifti = ending.endswith(GIF_ENDING), ending.endswith(NIFTI_ENDINGS)
            array = _nifti(name) if nifti else _frames(name) if gif else read_array(file)
        return self._fitted(array, name)

    def give_notices(self) -> None:
        """One notice each of the volumes that were scaled by their own values, and of those that are nearly black."""
        if self.scaled:
            logger.warning(
                "%d of %d volumes have values outside [0, 1]: each is scaled by its own smallest and largest value",
                self.scaled, self.volumes,
            )  # fmt: skip
        if self.dark:
            logger.warning(
                "%d of %d volumes of 8 bit hold no value above %d, and become nearly black: give labels as floats in "
                "[0, 1]", self.dark, self.volumes, DARK,
            )  # fmt: skip

    def _fitted(self, array: NDArray[Any], name: str) -> Tensor:
        """Channels, values and size as the classifier takes them."""
        if array.ndim not in (VOLUME_DIMS, VOLUME_DIMS + 1) or not array.size:
            raise InputError(f"{name}: a volume has the axes (D, H, W) or (C, D, H, W), not {array.shape}")
        if array.dtype.kind not in "biuf":
            raise InputError(f"{name}: a volume holds numbers, not {array.dtype}")
        if array.ndim == VOLUME_DIMS + 1 and has_colours_last(array.shape):
            array = np.moveaxis(array, -1, 0)
        values = torch.from_numpy(self._unit(array, name))
        values = values[None] if array.ndim == VOLUME_DIMS else values
        if len(values) != self.channels:
            if 1 not in (len(values), self.channels):
                raise InputError(f"{name} has {len(values)} channels, the classifier takes {self.channels}")
            values = values.mean(0, keepdim=True).expand(self.channels, *values.shape[1:])
        self.volumes += 1
        return resize(values[None], self.size)[0].clamp(0, 1).contiguous()

    def _unit(self, array: NDArray[Any], name: str) -> NDArray[np.float32]:
        """Values in [0, 1], by the rule of the class."""
        low, high = float(array.min()), float(array.max())
        if not np.isfinite([low, high, high - low]).all():
            raise InputError(f"{name} holds values that are not finite")
        if array.dtype == bool or (low >= 0 and high <= 1):
            return array.astype(np.float32)
        if array.dtype == np.uint8:
            self.dark += high <= DARK
            return (array / np.float32(255)).astype(np.float32)
        if low == high:
            return np.full(array.shape, min(max(low, 0), 1), np.float32)
        self.scaled += 1
        return ((array - np.float64(low)) / (high - low)).astype(np.float32)


def _nifti(name: str) -> NDArray[Any]:
    """The volume of a NIfTI file, as scaled as its header says."""
    try:
        import nibabel
    except ImportError as error:
        raise InputError(f"{name}: NIfTI files need nibabel: pip install nibabel") from error
    refuse_irregular(name)
    image: Any = nibabel.load(name)
    shape = tuple(image.shape)
    while len(shape) > VOLUME_DIMS and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != VOLUME_DIMS:
        raise InputError(f"{name}: a volume has 3 axes, not {tuple(image.shape)}")
    if not 0 < prod(shape) <= MOST_VALUES:
        raise InputError(f"{name} claims {prod(shape):,} values: it is refused")
    return np.asarray(image.dataobj).reshape(shape)


def _frames(name: str) -> NDArray[Any]:
    """The frames of a GIF, ``(T, H, W, 3)``."""
    refuse_irregular(name)
    with Image.open(name, formats=["GIF"]) as image:
        count = getattr(image, "n_frames", 1) * image.width * image.height * 3
        if count > MOST_VALUES:
            raise InputError(f"{name} holds {count:,} values, which is too large: it is refused")
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])


def npy_bytes(signal: Tensor) -> bytes:
    """A file of NumPy's format of a volume ``(C, D, H, W)``, which `VolumeReader.load` reads as one.

    It holds ``(D, H, W)`` where there is one channel, and else ``(1, C, D, H, W)``.
    """
    buffer = io.BytesIO()
    values = signal.detach().cpu().float().numpy()
    np.save(buffer, values[0] if len(values) == 1 else values[None], allow_pickle=False)
    return buffer.getvalue()
