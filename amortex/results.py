"""A folder of explanations: pictures, masks and summaries, written atomically and resumable."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from amortex.images import Source
from amortex.types import InputError, Layout

Row = dict[str, Any]
COLUMNS = (
    "file", "target", "class_name", "probability", "method", "preset", "lambda_k", "rate", "distortion",
    "ci_low", "ci_high", "retained", "seconds", "seed", "mask", "error",
)  # fmt: skip
SETTINGS, CSV, JSONL = "settings.json", "summary.csv", "summary.jsonl"


class Results:
    """The output folder of one run.

    Arguments:
        folder: made if it is not there.
        settings: everything that determines the results, as plain values. A folder holds results of one
            setting: the same settings resume it, others are refused.
        overwrite: forget what the folder holds.

    Raises:
        InputError: the folder cannot be made, or holds results of other settings.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], overwrite: bool = False) -> None:
        self.folder, self.settings = folder, settings
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise InputError(f"cannot write to {folder}: {error.strerror}; choose another --out") from error
        known = folder / SETTINGS
        if known.exists() and not overwrite:
            self._refuse_others(json.loads(known.read_text()))
        # A failed file is tried again, and a row whose mask is gone is made again.
        rows = [] if overwrite else [row for row in self._read_rows() if not row["error"] and (folder / row["mask"]).exists()]
        self._done = {row["file"]: row for row in rows}
        self._names = {row["mask"].removesuffix("_mask.safetensors"): row["file"] for row in rows}
        write_atomically(folder / JSONL, "".join(json.dumps(row) + "\n" for row in rows).encode())
        write_atomically(folder / CSV, _csv_lines([dict(zip(COLUMNS, COLUMNS, strict=True)), *rows]).encode())
        write_atomically(known, json.dumps(settings, indent=2).encode())

    def has(self, source: Source) -> bool:
        """Whether the file has been explained."""
        return str(source.path) in self._done

    def add(
        self, source: Source, row: Row, picture: Tensor, layout: Layout, tensors: dict[str, Tensor], panel: Figure | None
    ) -> Row:
        """Write one explanation.

        Arguments:
            source: the input file.
            row: its summary, without `file`, `mask` and `error`.
            picture: ``(1, H, W)`` in [0, 1].
            layout: of the tensors.
            tensors: ``(k,)`` each: the ``mask``, and where the method has them ``relevance`` and ``signed``.
            panel: the panel, if one is wanted.
        """
        name = self._claim(source)
        base = self.folder / name
        base.parent.mkdir(parents=True, exist_ok=True)
        row = {**row, "file": str(source.path), "mask": f"{name}_mask.safetensors", "error": ""}
        grey = (picture[0] * 255).round().to(torch.uint8).cpu().numpy()
        write_atomically(base.with_name(base.name + "_explanation.png"), _bytes(lambda f: Image.fromarray(grey).save(f, "PNG")))
        if panel is not None:
            write_atomically(base.with_name(base.name + "_panel.png"), _bytes(lambda f: panel.savefig(f, format="png")))
        write_atomically(self.folder / row["mask"], mask_file(tensors, layout, {**self.settings, **row}))
        self._done[row["file"]] = row
        return self._append(row)

    def fail(self, source: Source, error: str) -> Row:
        """Note a file that could not be explained."""
        return self._append({"file": str(source.path), "error": error})

    def _append(self, row: Row) -> Row:
        row = {column: row.get(column, "") for column in COLUMNS}
        for name, text in ((JSONL, json.dumps(row) + "\n"), (CSV, _csv_lines([row]))):
            with open(self.folder / name, "a", encoding="utf-8", newline="") as file:
                file.write(text)
        return row

    def _claim(self, source: Source) -> str:
        """Output name: the input's without its ending; a second input of that name gets a hash of its path."""
        name = source.name.with_suffix("").as_posix()
        if self._names.get(name, str(source.path)) != str(source.path):
            name += "-" + hashlib.blake2b(str(source.path).encode(), digest_size=4).hexdigest()
        self._names[name] = str(source.path)
        return name

    def _read_rows(self) -> list[Row]:
        file = self.folder / JSONL
        rows = []
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue  # torn by an interruption; its image is explained again
        return rows

    def _refuse_others(self, before: dict[str, Any]) -> None:
        changed = [key for key in {**before, **self.settings} if before.get(key) != self.settings.get(key)]
        if changed:
            key = changed[0]
            raise InputError(
                f"{self.folder} holds results of other settings ({key} was {before.get(key)}, now {self.settings.get(key)}): "
                "choose another --out, or give --overwrite"
            )


def mask_file(tensors: dict[str, Tensor], layout: Layout, metadata: dict[str, Any]) -> bytes:
    """Safetensors that anyone can read: the mask's bands by name, other tensors as ``relevance.low`` and so on."""
    bands = {}
    for name, flat in tensors.items():
        prefix = "" if name == "mask" else name + "."
        for band, values in zip(layout.bands, layout.split(flat.detach().cpu().float()), strict=True):
            bands[prefix + band.name] = values.contiguous()
    return save(bands, {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()})


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either there in full or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _bytes(write: Callable[[io.BytesIO], Any]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _csv_lines(rows: list[Row]) -> str:
    buffer = io.StringIO()
    csv.DictWriter(buffer, COLUMNS, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
