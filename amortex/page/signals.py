"""The photographs, sounds and volumes that the page offers, and those that people drop on it."""

import hashlib
import io
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.modalities import MODALITIES
from amortex.io.bundled import bundled_folder
from amortex.io.images import open_image
from amortex.io.readers import readable, reader_of

MOST_UPLOADS = 24
MOST_PIXELS = 50_000_000  # of a dropped photograph: many people share the memory
# keys that requests name, and the titles that people read
OFFERED = {
    "image": {
        "chelsea.png": "a cat", "coffee.png": "a cup of coffee", "rocket.jpg": "a rocket",
        "astronaut.png": "an astronaut", "motorcycle_left.png": "a motorcycle", "camera.png": "a cameraman",
    },
    "audio": {"drums.flac": "drums", "burp.flac": "a burp", "tabla.flac": "a tabla", "bell.flac": "a bell",
              "crow.flac": "a crow"},
    "volume": {f"digit{digit}.npz": f"a {digit}" for digit in (3, 0, 5, 7, 8)},
}  # fmt: skip

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The values that were asked for last, at most `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._values: OrderedDict[Any, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Any) -> Value | None:
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: Any, value: Value) -> Value:
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self.most:
            self._values.popitem(last=False)
        return value


@dataclass(frozen=True)
class Offered:
    """A bundled signal: what requests call it, what people call it, and its file."""

    key: str
    title: str
    modality: str
    path: Path


def offered() -> dict[str, Offered]:
    """The table of bundled signals by their keys: nothing else on this machine can be asked for."""
    table = {}
    for modality, names in OFFERED.items():
        for name, title in names.items():
            path = bundled_folder(modality) / name
            if path.is_file():
                table[path.stem] = Offered(path.stem, title, modality, path)
    return table


class Signals:
    """Bundled and given signals of one kind as tensors ``(1, C, *size)``, as a classifier takes them.

    Arguments:
        modality: of the signals.
        signal_config: of the classifier, see `reader_of`.
    """

    def __init__(self, modality: str, signal_config: dict[str, Any]) -> None:
        self.modality, self.signal_config = MODALITIES[modality], signal_config
        self.table = {key: entry for key, entry in offered().items() if entry.modality == modality}
        self._bundled: dict[str, Tensor] = {}
        self._given: Recent[Tensor] = Recent(MOST_UPLOADS)

    def tensor(self, key: str) -> Tensor:
        """The signal of a key; raises InputError where there is none."""
        if key in self.table:
            if key not in self._bundled:
                self._bundled[key] = reader_of(self.signal_config).load(self.table[key].path)[None]
            return self._bundled[key]
        given = self._given.get(key)
        if given is None:
            raise InputError(f"there is no such {self.modality.noun} here any more: choose or drop one")
        return given

    def accept(self, content: bytes) -> str:
        """Read what somebody dropped, by the reader of ``explain.py``; returns its key.

        Raises:
            InputError: it is no such signal, damaged or too large.
        """
        if self.modality.name == "image":
            opened = io.BytesIO(content)
            with readable("the file", "image", opened), open_image(opened) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise InputError(f"the image has more than {MOST_PIXELS:,} pixels: make it smaller")
        try:
            signal = reader_of(self.signal_config).load(content)[None]
        except InputError as error:
            words = re.sub("^bytes(:?)", lambda found: "the file is" if found[1] else "the file", str(error))
            raise InputError(words) from error
        return self.give(signal)

    def give(self, signal: Tensor) -> str:
        """Offer a signal ``(1, C, *size)``; returns its key, a digest of its values."""
        digest = hashlib.blake2b(signal.numpy().tobytes(), digest_size=12).hexdigest()
        self._given.put(f"given-{digest}", signal)
        return f"given-{digest}"
