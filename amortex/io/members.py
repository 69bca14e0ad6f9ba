"""Arrays in NumPy's files, ``file.npz:name[3]``: headers are checked before memory is taken, nothing is unpickled."""

import io
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from amortex.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VOLUME_DIMS = 3
MANY_DIMS = (VOLUME_DIMS + 1, VOLUME_DIMS + 2)  # (N, D, H, W), or with channels (N, C, D, H, W)
COLOURS = (1, 3)  # channels of a clip whose last axis they are
MOST_VALUES = 2**28  # of one volume
MOST_VOLUMES = 1_000_000  # in one file
MOST_EXPANSION = 1032  # of deflate: what claims more than that is not in the file
MEMBER = re.compile(r"(?P<file>.+\.np[yz])(?::(?P<name>.+?))?(?:\[(?P<index>\d{1,9})\])?", re.IGNORECASE | re.DOTALL)

Readable = str | Path | bytes


class Header(NamedTuple):
    """What the header of an array in NumPy's format says."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: "np.dtype[Any]"
    size: int  # of the header, in bytes


def split_member(path: str | Path) -> tuple[str, str | None, int | None]:
    """File, name of an array and index of a volume: ``"a.npz:x[3]"`` -> ``("a.npz", "x", 3)``.

    >>> split_member("photo.jpg")
    ('photo.jpg', None, None)
    """
    text = os.fspath(path)
    match = None if os.path.exists(text) else MEMBER.fullmatch(text)
    if match is None:
        return text, None, None
    return match["file"], match["name"], None if match["index"] is None else int(match["index"])


def is_array_file(path: str | Path) -> bool:
    """Whether the ending is one of NumPy's."""
    return split_member(path)[0].lower().endswith((".npy", ".npz"))


def has_colours_last(shape: tuple[int, ...]) -> bool:
    """Whether an array is one clip, ``(T, H, W, C)``, or many: no volume is 1 or 3 voxels wide.

    >>> has_colours_last((8, 24, 24, 3)), has_colours_last((8, 24, 24, 24))
    (True, False)
    """
    return len(shape) in MANY_DIMS and shape[-1] in COLOURS


def holds_many(shape: tuple[int, ...]) -> bool:
    """Whether an array holds many volumes, each an input, along its first axis."""
    return len(shape) in MANY_DIMS and not (len(shape) == VOLUME_DIMS + 1 and has_colours_last(shape))


def arrays_of(path: Path) -> list[str]:
    """What to append to the path of a file for each volume in it: ``":x[0]"``, ``":x[1]"``, or ``""`` for a single one.

    Raises:
        InputError: the file cannot be read, or which of its arrays is meant is not clear.
    """
    file, name, index = split_member(path)
    with opened(file, name) as (_, header, found):
        label = f":{found}" if name is not None else ""
        if index is not None or not holds_many(header.shape) or not header.shape[0]:
            return [label + ("" if index is None else f"[{index}]")]
        if header.shape[0] > MOST_VOLUMES:
            raise InputError(f"{file} claims {header.shape[0]:,} volumes: it is refused")
        return [f"{':' + found if found else ''}[{number}]" for number in range(header.shape[0])]


def read_array(file: Readable) -> "NDArray[Any]":
    """One volume of a file, ``(D, H, W)``, ``(C, D, H, W)`` or ``(D, H, W, C)``, or of what one holds.

    Only that is read.

    Raises:
        InputError: there is no such array, it is no volume, damaged, too large, or holds objects.
    """
    import numpy as np

    path, name, index = ("bytes", None, None) if isinstance(file, bytes) else split_member(file)
    with opened(file if isinstance(file, bytes) else path, name) as (stream, header, _):
        shape, many = header.shape, holds_many(header.shape)
        if len(shape) not in (VOLUME_DIMS, *MANY_DIMS):
            raise InputError(f"{path}: a volume has 3 axes (D, H, W), not {shape}")
        if not prod(shape):
            raise InputError(f"{path} is empty: it is refused")
        if header.dtype.kind not in "biuf":  # a text of any length counts as one value
            raise InputError(f"{path}: a volume holds numbers, not {header.dtype}")
        if many and index is None:
            index = 0 if shape[0] == 1 else None
            if index is None:
                raise InputError(f"{path} holds {shape[0]} volumes: say which, as in file.npz:name[0]")
        if not many and index is not None:
            raise InputError(f"{path} holds one volume: leave [{index}] out")
        if many and index is not None and index >= shape[0]:
            raise InputError(f"{path} holds {shape[0]} volumes, and no number {index}")
        volume = shape[1:] if many else shape
        whole = header.fortran_order or not many
        if prod(shape if whole else volume) > MOST_VALUES:
            raise InputError(f"{path} claims {prod(shape):,} values, which is too large: it is refused")
        start, count = (0, prod(shape)) if whole else ((index or 0) * prod(volume), prod(volume))
        stream.seek(header.size + start * header.dtype.itemsize)
        content = stream.read(count * header.dtype.itemsize)
        if len(content) < count * header.dtype.itemsize:
            raise InputError(f"{path} is cut off: it is damaged")
        values = np.frombuffer(content, header.dtype)
        if header.fortran_order:
            values = values.reshape(shape, order="F")
            return values[index] if many else values
        return values.reshape(volume)


@contextmanager
def opened(file: Readable, name: str | None) -> Iterator[tuple[IO[bytes], Header, str]]:
    """The stream of an array, its header, and its name within an archive; errors are one line."""
    label = "bytes" if isinstance(file, bytes) else str(file)
    try:
        if not isinstance(file, bytes) and not os.path.isfile(file):
            raise InputError(f"{file}: no such file" if not os.path.exists(file) else f"{file} is no regular file")
        with io.BytesIO(file) if isinstance(file, bytes) else open(file, "rb") as outer:
            archive = outer.read(2) == b"PK"
            outer.seek(0)
            if not archive:
                if name is not None:
                    raise InputError(f"{label} is no archive: leave :{name} out")
                length = outer.seek(0, os.SEEK_END)
                outer.seek(0)
                yield outer, _header(outer, length, label), ""
                return
            with zipfile.ZipFile(outer) as zipped:
                entry = _chosen(zipped, name, label)
                with zipped.open(entry) as stream:
                    length = min(entry.file_size, MOST_EXPANSION * entry.compress_size)
                    yield stream, _header(stream, length, label), entry.filename.removesuffix(".npy")
    except InputError:
        raise
    except Exception as error:  # damaged headers and archives raise many types
        message = (str(error).splitlines() or [""])[0]
        raise InputError(f"{label}: not a readable volume ({type(error).__name__}: {message})") from error


def _chosen(archive: zipfile.ZipFile, name: str | None, label: str) -> zipfile.ZipInfo:
    """The entry of an array: by its name, or the only one that holds volumes."""
    entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
    if name is not None:
        if name not in entries:
            raise InputError(f"{label} has no array {name}; it has {', '.join(list(entries)[:10])}")
        return entries[name]
    volumes = []
    for key, entry in entries.items():
        with archive.open(entry) as stream:
            if len(_header(stream, entry.file_size, label).shape) >= VOLUME_DIMS:
                volumes.append(key)
    if len(volumes) != 1:
        has = f"{len(volumes)} arrays of volumes ({', '.join(volumes[:10])})" if volumes else "no array of volumes"
        example = f": say which, as in {label}:{volumes[0]}" if volumes else ": they have 3 axes, or 4 for many"
        raise InputError(f"{label} holds {has}{example}")
    return entries[volumes[0]]


def _header(stream: IO[bytes], length: int, label: str) -> Header:
    """The header at the start of a stream of so many bytes, whose claims are checked against that."""
    from numpy.lib import format as numpy_format

    version = numpy_format.read_magic(stream)
    if version != (1, 0):  # others are for tables with long names, and their headers may claim gigabytes
        raise InputError(f"{label}: a header of version {'.'.join(map(str, version))} is not that of numbers")
    shape, fortran_order, dtype = numpy_format.read_array_header_1_0(stream)
    if dtype.hasobject:
        raise InputError(f"{label} holds Python objects, which would execute code: it is refused")
    size = stream.tell()
    if any(side < 0 for side in shape) or prod(shape) * dtype.itemsize > length - size:
        raise InputError(f"{label} claims {prod(shape):,} values, more than it holds: it is damaged")
    return Header(tuple(map(int, shape)), fortran_order, dtype, size)
