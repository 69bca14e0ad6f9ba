"""A folder of explanations: pictures, masks and summaries, written atomically and resumable."""

import hashlib
import io
import json
import logging
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from amortex.core.errors import InputError, escape
from amortex.core.layout import Layout
from amortex.explaining.rows import COLUMNS, Row, columns_of, csv_lines, read_rows
from amortex.io.files import append, left_over, write_atomically
from amortex.io.images import Source

logger = logging.getLogger(__name__)
HELD: dict[str, Callable[[], object]] = {}  # folders that this process has locked, and what unlocks them
SETTINGS, CSV, JSONL = "settings.json", "summary.csv", "summary.jsonl"
SHARD = ".rows-{}.jsonl"  # of a process
MASK = "_mask.safetensors"
PICTURES = ("_explanation.png", "_panel.png")
LONGEST_NAME = 180  # bytes; file systems take 255, of which ours need some


class Writer(ABC):
    """Writes explanations into a folder."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder, self.settings = folder, settings

    def add(
        self,
        source: Source,
        row: Row,
        picture: Tensor,
        layout: Layout,
        tensors: dict[str, Tensor],
        panel: bytes | None,
    ) -> Row:
        """Write one explanation.

        Arguments:
            source: the input file, as `Results.todo` names it.
            row: its summary, without `file`, `mask` and `error`.
            picture: ``(1, H, W)`` in [0, 1].
            layout: of the tensors.
            tensors: ``(k,)`` each: the ``mask``, and where the method has them ``relevance`` and ``signed``.
            panel: the panel as PNG, if one is wanted.
        """
        base = self.folder / source.name
        base.parent.mkdir(parents=True, exist_ok=True)
        row = {**row, "file": source.label, "mask": f"{source.name.as_posix()}{MASK}", "error": ""}
        # the mask comes first: where a picture is beside a mask, `find_images` knows it for a result
        write_atomically(self.folder / row["mask"], mask_file(tensors, layout, {**self.settings, **row}))
        grey = io.BytesIO()
        Image.fromarray((picture[0] * 255).round().to(torch.uint8).cpu().numpy()).save(grey, "PNG")
        write_atomically(base.with_name(base.name + "_explanation.png"), grey.getvalue())
        if panel is not None:
            write_atomically(base.with_name(base.name + "_panel.png"), panel)
        return self._append(row)

    def fail(self, source: Source, error: str) -> Row:
        """Note a file that could not be explained."""
        return self._append({"file": source.label, "error": escape(" ".join(error.split()))})

    @abstractmethod
    def _append(self, row: Row) -> Row: ...


class Shard(Writer):
    """One process's part of a folder that several write to: its rows are apart until `Results` merges them.

    Arguments:
        folder: of the `Results`.
        settings: theirs.
        rank: of the process.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], rank: int) -> None:
        super().__init__(folder, settings)
        self.file = folder / SHARD.format(rank)
        self.file.write_text("")

    def _append(self, row: Row) -> Row:
        row = {**row, **columns_of(row)}
        append(self.file, json.dumps(row) + "\n")
        return row


class Results(Writer):
    """The output folder of one run.

    Arguments:
        folder: made if it is not there.
        settings: everything that determines the results, as plain values. A folder holds results of one
            setting: the same settings resume it, others are refused.
        overwrite: forget what the folder holds.

    Raises:
        InputError: the folder cannot be made, holds results of other settings, or another run writes to it.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], overwrite: bool = False) -> None:
        super().__init__(folder, settings)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise InputError(f"cannot write to {folder}: {error.strerror}; choose another --out") from error
        self._lock()
        shards = list(folder.glob(SHARD.format("*")))  # of a run that did not come to its end
        found = [folder / JSONL, *shards] if (folder / JSONL).exists() else shards
        rows = self._kept(row for file in found for row in read_rows(file))
        if rows and not overwrite:
            self._refuse_others(_read_settings(folder / SETTINGS))
        for left in left_over(folder, (*PICTURES, MASK, CSV, JSONL, SETTINGS)):  # of a run that was killed,
            if not any((parent / SETTINGS).exists() for parent in left.parents if folder in parent.parents):
                left.unlink()  # and not of one in a folder within
        for row in rows if overwrite else ():
            for kind in (*PICTURES, MASK):  # the mask goes last: until then it is known as ours
                (folder / (row["mask"].removesuffix(MASK) + kind)).unlink(missing_ok=True)
        rows = [] if overwrite else rows
        self._done = {row["file"]: row for row in rows}
        self._names = {row["mask"].removesuffix(MASK): row["file"] for row in rows}
        self._write(rows)
        write_atomically(folder / SETTINGS, json.dumps(settings, indent=2).encode())
        for shard in shards:
            shard.unlink()

    def _lock(self) -> None:
        """One process at a time may write here: as long as it has this object, and no longer than it lives."""
        if os.name != "posix":
            return
        import fcntl

        folder = os.path.realpath(self.folder)
        if folder in HELD:  # by an object that is left over, of a run that was interrupted
            HELD.pop(folder)()
        place = os.open(folder, os.O_RDONLY)
        HELD[folder] = weakref.finalize(self, os.close, place)
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"another run is writing to {self.folder}: wait for it, or choose another --out"
            ) from error
        except OSError:  # some network file systems cannot lock folders
            logger.debug("%s cannot be locked", self.folder)

    def has(self, source: Source) -> bool:
        """Whether the file has been explained."""
        return source.label in self._done

    def todo(self, sources: Sequence[Source]) -> list[Source]:
        """What is left of `sources`, each under the name of its results."""
        return [source._replace(name=Path(self._claim(source))) for source in sources if not self.has(source)]

    def merge(self, shards: int, order: Sequence[Source]) -> list[Row]:
        """Take over the rows of so many shards; all rows are in the order of the inputs then. Returns the new ones."""
        files = [self.folder / SHARD.format(rank) for rank in range(shards)]
        place = {source.label: index for index, source in enumerate(order)}
        new = sorted((row for file in files for row in read_rows(file)), key=lambda row: place[row["file"]])
        self._done |= {row["file"]: row for row in new if not row["error"]}
        self._write(sorted([*self._done.values(), *(row for row in new if row["error"])],
                           key=lambda row: place.get(row["file"], -1)))  # fmt: skip
        for file in files:
            file.unlink()
        return new

    def _append(self, row: Row) -> Row:
        columns = columns_of(row)
        append(self.folder / JSONL, json.dumps(columns) + "\n")
        append(self.folder / CSV, csv_lines([columns]))
        if not columns["error"]:
            self._done[row["file"]] = columns
        return {**row, **columns}

    def _write(self, rows: Sequence[Row]) -> None:
        rows = [columns_of(row) for row in rows]
        write_atomically(self.folder / JSONL, "".join(json.dumps(row) + "\n" for row in rows).encode())
        write_atomically(self.folder / CSV, csv_lines([dict(zip(COLUMNS, COLUMNS, strict=True)), *rows]).encode())

    def _claim(self, source: Source) -> str:
        """Output name: the input's without its ending; a second input of that name gets a hash of its path."""
        name = Path(escape(source.name)).with_suffix("").as_posix()
        too_long = len(Path(name).name.encode()) > LONGEST_NAME
        if too_long:
            name = Path(name).with_name(Path(name).name[: LONGEST_NAME // 4]).as_posix()
        if too_long or self._names.get(name, source.label) != source.label:
            name += "-" + hashlib.blake2b(source.label.encode(), digest_size=8).hexdigest()
        self._names[name] = source.label
        return name

    def _kept(self, rows: Iterator[Row]) -> list[Row]:
        """One row per file, without those to make again: of failed files, and of masks that are gone."""
        kept = (row for row in rows if not row["error"] and self._is_ours(row["mask"]))
        return list({row["file"]: row for row in kept}.values())

    def _is_ours(self, mask: Any) -> bool:
        """Whether a row names a mask file that is there, and within the folder."""
        if not isinstance(mask, str) or not mask.endswith(MASK):
            return False
        try:
            file = (self.folder / mask).resolve()
        except (OSError, RuntimeError, ValueError):  # links in a circle, and what no path can hold
            return False
        return file.is_relative_to(self.folder.resolve()) and file.exists()

    def _refuse_others(self, before: dict[str, Any]) -> None:
        changed = [key for key in {**before, **self.settings} if before.get(key) != self.settings.get(key)]
        if changed:
            was, now = before.get(changed[0]), self.settings.get(changed[0])
            raise InputError(
                f"{self.folder} holds results of other settings ({changed[0]} was {was}, now {now}): "
                "choose another --out, or give --overwrite"
            )


def _read_settings(file: Path) -> dict[str, Any]:
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}  # lost: nothing is known of the settings, so that any differ
    return settings if isinstance(settings, dict) else {}


def mask_file(tensors: dict[str, Tensor], layout: Layout, metadata: dict[str, Any]) -> bytes:
    """Safetensors that anyone can read: the mask's bands by name, other tensors as ``relevance.low`` and so on."""
    bands = {}
    for name, flat in tensors.items():
        prefix = "" if name == "mask" else name + "."
        for band, values in zip(layout.bands, layout.split(flat.detach().cpu().float()), strict=True):
            bands[prefix + band.name] = values.contiguous()
    return save(bands, {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()})
