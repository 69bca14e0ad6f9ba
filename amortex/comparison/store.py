"""Results by content: an image and everything that determines what was made of it. A rerun costs nothing."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from amortex.core.noise_streams import NoiseStreams
from amortex.io.files import write_atomically


class Store:
    """Tensors and figures of single images, in files named by a digest of the image's pixels and of settings.

    Files are written whole or not at all, so several processes can share a folder; one that is damaged all the same
    counts as missing.

    Arguments:
        folder: where the files are; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    @staticmethod
    def digests(image: Tensor) -> list[str]:
        """A digest of each image of a batch."""
        return [f"{seed:016x}" for seed in NoiseStreams.of(image, stream="store").seeds]

    def tensors(self, image: str, settings: dict[str, Any]) -> dict[str, Tensor] | None:
        """What `keep_tensors` kept, or None."""
        content = self._read(image, settings, "safetensors")
        try:
            return None if content is None else load(content)
        except Exception:  # a damaged file raises many types
            return None

    def keep_tensors(self, image: str, settings: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        if self.folder is not None:
            # copies: safetensors refuses views that share memory
            content = save({name: value.detach().cpu().clone() for name, value in tensors.items()})
            self._write(image, settings, "safetensors", content)

    def figures(self, image: str, settings: dict[str, Any], columns: Sequence[str]) -> Tensor | None:
        """Figures ``(columns,)`` that were kept, or None."""
        content = self._read(image, settings, "json")
        try:
            known = {} if content is None else json.loads(content)
            return torch.tensor([float(known[name]) for name in columns], dtype=torch.float64)
        except (ValueError, KeyError, TypeError):
            return None

    def keep_figures(self, image: str, settings: dict[str, Any], columns: Sequence[str], values: Tensor) -> None:
        if self.folder is not None:
            content = json.dumps(dict(zip(columns, values.tolist(), strict=True)))  # NaN is read back as such
            self._write(image, settings, "json", content.encode())

    def _path(self, image: str, settings: dict[str, Any], ending: str) -> Path:
        assert self.folder is not None
        text = json.dumps(settings, sort_keys=True, default=str)
        key = hashlib.blake2b(f"{image}/{text}".encode(), digest_size=16).hexdigest()
        return self.folder / key[:2] / f"{key}.{ending}"

    def _read(self, image: str, settings: dict[str, Any], ending: str) -> bytes | None:
        if self.folder is None:
            return None
        try:
            return self._path(image, settings, ending).read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, image: str, settings: dict[str, Any], ending: str, content: bytes) -> None:
        path = self._path(image, settings, ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
