"""Results by content: an image and everything that determines what was made of it. A rerun costs nothing."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from amortex.core.noise_streams import NoiseStreams
from amortex.io.files import write_atomically

Settings = Mapping[str, Any]


class ResultCache:
    """Tensors and named values of single images, in files named by a digest of the image's pixels and of settings.

    Files are written whole or not at all, so several processes can share a folder. A file that is damaged all the same
    counts as missing.

    Arguments:
        folder: where the files are; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    @staticmethod
    def digests(image: Tensor) -> list[str]:
        """A digest of each image of a batch ``(B, C, *size)``."""
        return [f"{seed:016x}" for seed in NoiseStreams.of(image, stream="store").seeds]

    def load_tensors(self, digest: str, settings: Settings) -> dict[str, Tensor] | None:
        """What `save_tensors` has saved for an image, or None."""
        content = self._read(digest, settings, "safetensors")
        try:
            return None if content is None else load(content)
        except Exception:  # a damaged file raises many types
            return None

    def save_tensors(self, digest: str, settings: Settings, tensors: Mapping[str, Tensor]) -> None:
        """Save tensors of an image."""
        if self.folder is not None:
            # copies: safetensors refuses views that share memory
            content = save({name: values.detach().cpu().clone() for name, values in tensors.items()})
            self._write(digest, settings, "safetensors", content)

    def load_values(self, digest: str, settings: Settings, columns: Sequence[str]) -> Tensor | None:
        """Values ``(columns,)`` that `save_values` has saved for an image, or None."""
        content = self._read(digest, settings, "json")
        try:
            values = {} if content is None else json.loads(content)
            return torch.tensor([float(values[name]) for name in columns], dtype=torch.float64)
        except (ValueError, KeyError, TypeError):
            return None

    def save_values(self, digest: str, settings: Settings, columns: Sequence[str], values: Tensor) -> None:
        """Save values ``(columns,)`` of an image."""
        if self.folder is not None:
            content = json.dumps(dict(zip(columns, values.tolist(), strict=True)))  # NaN is read back as such
            self._write(digest, settings, "json", content.encode())

    def _path(self, digest: str, settings: Settings, extension: str) -> Path:
        assert self.folder is not None
        text = json.dumps(settings, sort_keys=True, default=str)
        key = hashlib.blake2b(f"{digest}/{text}".encode(), digest_size=16).hexdigest()
        return self.folder / key[:2] / f"{key}.{extension}"

    def _read(self, digest: str, settings: Settings, extension: str) -> bytes | None:
        if self.folder is None:
            return None
        try:
            return self._path(digest, settings, extension).read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, digest: str, settings: Settings, extension: str, content: bytes) -> None:
        path = self._path(digest, settings, extension)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
