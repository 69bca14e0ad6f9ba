"""Signals as people have them in Python: files, contents of files, arrays, PIL images and tensors."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from amortex.app.checks import check_value_range
from amortex.core.errors import InputError
from amortex.core.modalities import Modality, modality_of
from amortex.io.finding import Source
from amortex.io.members import has_colours_last
from amortex.io.readers import Readable, reader_of
from amortex.rate_distortion.pipeline import RateDistortion

Array = NDArray[Any]
Signal = Readable | BinaryIO | Image.Image | Array
Signals = Tensor | Signal | Sequence[Signal] | Sequence[Tensor]

ACCEPTED = {
    "image": "images are paths, PIL images, contents of image files, open files, arrays (H, W, 3) of bytes or floats "
    "in [0, 1], or tensors",
    "audio": "sounds are paths, contents of sound files, open files, arrays (T) or (C, T) of floats in [-1, 1], or "
    "tensors",
    "volume": "volumes are paths, contents of .npy or .npz files, open files, arrays (D, H, W), or tensors",
}
AXES = {1: "T", 2: "H, W", 3: "D, H, W"}


def read_signals(given: Signals, rate_distortion: RateDistortion) -> tuple[Tensor, list[Source]]:
    """What is explained, ``(B, C, *size)`` on the classifier's device, and what the results are named after.

    Raises:
        InputError: an input cannot be read, or has the wrong shape or type.
    """
    classifier = rate_distortion.classifier
    channels, *size = classifier.signal_config["input_size"]
    modality, device = modality_of(len(size)), classifier.mean.device
    single, is_array = _is_single(given, modality), isinstance(given, np.ndarray)
    if not single and is_array:
        given = torch.from_numpy(given)
    if not isinstance(given, Tensor):
        signals: list[Any] = [given] if single else _listed(given, modality)
        if not all(isinstance(signal, Tensor) for signal in signals):
            if classifier.data_config is classifier.signal_config:  # else it has its own front end, and range
                check_value_range(rate_distortion.value_range, modality)
            fitted, sources = _fitted(signals, classifier.signal_config, modality)
            return classifier.front_end(fitted.to(device)), sources
        given = _stacked(signals)
    noun, (low, high) = modality.noun, modality.value_range
    if given.ndim != 2 + len(size) or not len(given) or given.shape[1] != channels:
        hint = f": give {noun}[None]" if given.ndim == 1 + len(size) and given.shape[0] == channels else ""
        pictures = modality.dims == 2 and given.ndim == 4 and given.shape[3] in (3, 4)
        ways = {True: "give a list of its pictures", False: "put its channels first, as .permute(0, 3, 1, 2) does"}
        hint = f": {ways[is_array]}" if pictures else hint
        axes = AXES[len(size)]
        raise InputError(f"{noun}s must be a tensor (B, {channels}, {axes}), not {_described(given)}{hint}")
    if not given.is_floating_point():
        divisor = 255 if modality.dims != 1 else 32768
        advice = f"divide {'bytes' if divisor == 255 else '16 bit'} by {divisor}"
        raise InputError(f"{noun}s must be floats in [{low:g}, {high:g}], not {given.dtype}: {advice}")
    given = given.float()
    return classifier.front_end(given.to(device)), [_source_by_content(signal, noun) for signal in given]


def _fitted(signals: Sequence[Any], data_config: dict[str, Any], modality: Modality) -> tuple[Tensor, list[Source]]:
    """Signals that the reader of the classifier fits to its input, and what their results are named after."""
    reader, tensors, sources = reader_of(data_config), [], []
    for signal in signals:
        signal = _content(signal) if hasattr(signal, "read") else signal
        file = isinstance(signal, str | Path)
        if file or isinstance(signal, bytes):
            tensors.append(reader.load(signal))
        elif modality.dims == 2 and (isinstance(signal, Image.Image) or _is_single(signal, modality)):
            tensors.append(reader(signal if isinstance(signal, Image.Image) else Image.fromarray(_as_bytes(signal))))
        elif modality.dims != 2 and isinstance(signal, np.ndarray):
            if modality.dims == 3:
                _refuse_several(signal, data_config["input_size"][0])
            tensors.append(reader(signal))
        else:
            hint = f": of ({modality.noun}, label) pairs, give the {modality.noun}s"
            hint = hint if isinstance(signal, int | tuple) else ""
            hint = ": a list holds tensors alone, or none" if isinstance(signal, Tensor) else hint
            raise InputError(f"{ACCEPTED[modality.name]}, not {_described(signal)}{hint}")
        path = Path(signal) if file else None
        sources.append(
            Source(path, Path(path.name)) if path is not None else _source_by_content(tensors[-1], modality.noun)
        )
    reader.give_notices()
    lengths = sorted({tensor.shape[-1] for tensor in tensors})
    if len(lengths) > 1:
        raise InputError(
            f"sounds that are explained together need one length, not {lengths[0]} and {lengths[1]} samples: give them "
            "one by one (explain.py takes folders of any)"
        )
    return torch.stack(tensors), sources


def _refuse_several(volume: Array, channels: int) -> None:
    """Raises InputError for an array of four axes that is rather several volumes than one of other channels."""
    several = volume.ndim == 4 and len(volume) not in (1, channels) and not has_colours_last(volume.shape)
    if several:
        raise InputError(
            f"{_described(volume)} has {len(volume)} channels, the classifier takes {channels}: several volumes are a "
            "list, and a clip has its channels last"
        )


def _content(file: BinaryIO) -> bytes:
    """What an open file holds from its place on; raises InputError for text, and for what is closed."""
    try:
        content = file.read()
    except ValueError as error:  # a closed file, or a picture that is read as text
        raise InputError(f"an open file must be readable, and binary as of open(path, 'rb'): {error}") from None
    if not isinstance(content, bytes):
        raise InputError("an open file must be binary, as of open(path, 'rb'), not text")
    return content


def _is_single(given: Any, modality: Modality) -> bool:
    """Whether this is one signal that a reader takes: a file, what one holds, a picture, or an array of one.

    Arrays of sound and volumes are ``(*size)`` or ``(C, *size)``. Those of images are as image libraries have them:
    grey bytes, ``(H, W, 3)`` or ``(H, W, 4)``; arrays of floats may have their channels first instead.
    """
    if isinstance(given, str | Path | bytes | Image.Image) or hasattr(given, "read"):
        return True
    if not isinstance(given, np.ndarray):
        return False
    if modality.dims != 2:
        return given.ndim in (modality.dims, modality.dims + 1)
    if not (given.ndim == 2 or given.shape[2:] in ((3,), (4,))):
        return False
    return given.dtype == np.uint8 or (np.issubdtype(given.dtype, np.floating) and given.shape[0] not in (1, 3))


def _as_bytes(picture: Array) -> Array:
    """A picture of bytes, or of floats; raises InputError for floats that are not in [0, 1]."""
    if picture.dtype == np.uint8:
        return picture
    if not ((picture >= 0) & (picture <= 1)).all():
        raise InputError(f"a picture of floats has values in [0, 1], not from {picture.min():g} to {picture.max():g}")
    return (255 * picture).round().astype(np.uint8)


def _described(signals: Any) -> str:
    """What was given instead of signals."""
    if isinstance(signals, Tensor | np.ndarray):
        return f"{tuple(signals.shape)} of {str(signals.dtype).removeprefix('torch.')}"
    return type(signals).__name__


def _listed(signals: Any, modality: Modality) -> list[Any]:
    """The signals of a list; raises InputError for what is none, or empty."""
    if not isinstance(signals, Sequence):
        raise InputError(f"{ACCEPTED[modality.name]}, not {type(signals).__name__}")
    if not signals:
        raise InputError(f"there are no {modality.noun}s to explain")
    return list(signals)


def _stacked(signals: Sequence[Tensor]) -> Tensor:
    """Tensors ``(C, *size)`` as one; raises InputError where their shapes differ."""
    shapes = list(dict.fromkeys(tuple(signal.shape) for signal in signals))
    if len(shapes) > 1:
        raise InputError(f"tensors of one list need one shape, not {shapes[0]} and {shapes[1]}: resize them")
    return torch.stack([signal.to(signals[0]) for signal in signals])


def _source_by_content(signal: Tensor, noun: str) -> Source:
    """A name for a signal without a file: by its content, so that others do not take its place in a folder."""
    content = signal.detach().cpu().contiguous().numpy().tobytes()
    path = Path(f"{noun}-{hashlib.blake2b(content, digest_size=8).hexdigest()}")
    return Source(path, path)
