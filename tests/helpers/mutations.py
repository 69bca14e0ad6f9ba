"""Seeded damage to files and settings, and a guard that sees what a process does to its surroundings."""

import json
import os
import random
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WORDS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 100_000)
VALUES = (
    None, True, -1, 0, 1, 3, 2**31, 10**30, -0.5, 1e-9, 1e308, float("nan"), float("inf"), "", "a\nb\x1b[2J",
    "x" * 5000, "../../../etc/passwd", "/etc/passwd", "/dev/zero", "hf-hub:no/such", "local-dir:/etc", "os.system",
    "auto", "{class_path: os.system}", [], [0], [[[[[]]]]], {},
    {"class_path": "os.system", "init_args": {"command": "true"}},
)  # fmt: skip


def images() -> list[bytes]:
    """Small valid files of many formats and modes."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 4), dtype=np.uint8)
    rgba = Image.fromarray(pixels)
    rgb, wide = rgba.convert("RGB"), Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    palette, frames = rgb.quantize(16), {"save_all": True, "append_images": [rgb.rotate(90)]}
    cmyk = rgb.convert("CMYK")
    kinds: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (rgb, "PNG", {}), (rgba, "PNG", {}), (wide, "PNG", {}), (palette, "PNG", {"transparency": 0}),
        (rgb, "PNG", frames), (rgb, "JPEG", {}), (rgb, "JPEG", {"progressive": True}), (cmyk, "JPEG", {}),
        (palette, "GIF", {}), (rgb, "GIF", frames), (rgba, "WEBP", {}), (rgb, "WEBP", {"lossless": True}),
        (rgb, "WEBP", frames), (rgb, "TIFF", {}),
        (rgb, "TIFF", {"compression": "tiff_lzw"}), (rgb, "TIFF", {"compression": "tiff_deflate"}),
        (wide, "TIFF", frames), (rgb, "BMP", {}), (palette, "BMP", {}), (rgb, "ICO", {}),
        (rgb, "PPM", {}), (rgb, "TGA", {}),
    ]  # fmt: skip
    files = []
    for image, kind, options in kinds:
        image.save(buffer := BytesIO(), kind, **options)
        files.append(buffer.getvalue())
    return files


def damage(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """A few bytes changed, cut out, doubled or exchanged with another file's."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = min(rng.randrange(len(data) + 1), rng.choice((len(data), 40)))  # headers more often
        kind = rng.randrange(7)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            width, order = rng.choice((1, 2, 4)), rng.choice(("big", "little"))
            data[at : at + width] = (rng.choice(WORDS) % 256**width).to_bytes(width, order)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + rng.randrange(1, 20)]
        elif kind == 4:
            data[at:at] = data[at : at + rng.randrange(1, 60)]
        elif kind == 5:
            data[at:at] = rng.randbytes(rng.randrange(1, 20))
        else:
            data[at:] = rng.choice(others)[at:]
    return bytes(data)


def with_right_sums(png: bytes) -> bytes:
    """A PNG file whose damaged chunks have the checksums of what they hold, so that decoders read on."""
    data, at = bytearray(png), 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        end = at + 8 + size
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(data)


def with_other_values(table: Any, rng: random.Random) -> Any:
    """A copy of plain settings with a value somewhere in them changed, removed or added."""
    table = json.loads(json.dumps(table))
    inner = table
    while isinstance(inner, dict) and inner:
        key = rng.choice(list(inner))
        if isinstance(inner[key], dict) and inner[key] and rng.random() < 0.8:
            inner = inner[key]
            continue
        kind = rng.randrange(6)
        if kind == 0:
            del inner[key]
        elif kind == 1:
            inner[rng.choice(("class_path", "_class_path", "pretrained_cfg", key + "x"))] = rng.choice(VALUES)
        else:
            inner[key] = rng.choice(VALUES)
        break
    return table


def repacked(archive: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """A zip archive with one damaged member and sums that are right."""
    with zipfile.ZipFile(BytesIO(archive)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    hit = rng.choice([name for name in members if name.endswith(".pkl")] + list(members))
    members[hit] = damage(members[hit], rng, others)
    packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(buffer := BytesIO(), "w", packing) as new:
        for name, content in members.items():
            new.writestr(name, content)
    return buffer.getvalue()


class Guard:
    """Collects what a process does outside a folder: files written, programs started, hosts called."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self.hook)  # for good: hooks cannot be taken off

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect"):
            self.seen.append(f"{event} {arguments}")
        writes = event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        alone = writes or event in ("os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod")
        two = event in ("os.rename", "os.link", "os.symlink")
        paths = arguments[:2] if two else arguments[:1] if alone else ()
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                text = os.path.realpath(os.fsdecode(path))
                if not text.startswith(self.folder) and text != os.devnull and "__pycache__" not in text:
                    self.seen.append(f"{event} {text}")

    @contextmanager
    def within(self, folder: Path) -> Iterator[None]:
        """Fails where something was done outside."""
        self.folder, self.seen = os.path.realpath(folder), []
        try:
            yield
        finally:
            self.folder = None
        assert not self.seen, self.seen[:5]
