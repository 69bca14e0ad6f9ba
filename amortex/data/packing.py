"""``python train.py pack``: photographs, shrunk, in one tar file, which is quick to read."""

import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from amortex.core.errors import InputError, escape
from amortex.data.sources import decode
from amortex.io.files import incomplete
from amortex.io.finding import Source

JPEG_QUALITY = 95
IMAGES_IN_MEMORY = 256


def shrink(source: Source, size: int) -> bytes | str:
    """The image as a JPEG file whose shorter side is at most `size` pixels, or why there is none."""
    try:
        image = decode(str(source.path))
        scale = size / min(image.size)
        if scale < 1:
            width, height = (max(1, round(side * scale)) for side in image.size)
            image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    except Exception as error:  # decoders raise errors of many types
        return escape(f"{source.path}: not a readable image ({type(error).__name__}: {error})")
    return buffer.getvalue()


def pack(sources: Sequence[Source], out: Path, size: int) -> list[str]:
    """Write `out`, in full or not at all. Returns a line for each image that was left out.

    Images keep their order; their names are numbers.

    Raises:
        InputError: no image can be read.
    """
    temporary = incomplete(out)
    failures, count = [], 0
    try:
        with tarfile.open(temporary, "w") as tar, tqdm(total=len(sources), unit="image", disable=None) as bar:
            for jpeg in _shrunk(sources, size):
                bar.update()
                if isinstance(jpeg, str):
                    failures.append(jpeg)
                    continue
                entry = tarfile.TarInfo(f"{count:08d}.jpg")
                entry.size, count = len(jpeg), count + 1
                tar.addfile(entry, io.BytesIO(jpeg))
        if not count:
            raise InputError(f"none of the {len(failures)} images can be read; the first: {failures[0]}")
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return failures


def _shrunk(sources: Sequence[Source], size: int) -> Iterator[bytes | str]:
    remaining = iter(sources)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(cores) as pool:
        while chunk := list(islice(remaining, IMAGES_IN_MEMORY)):
            yield from pool.map(shrink, chunk, [size] * len(chunk))
