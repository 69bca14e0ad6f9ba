"""A folder of explanations: pictures, masks and summaries, written atomically and resumable."""

import csv
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from amortex.images import Source
from amortex.plots import png
from amortex.types import InputError, Layout, escape

Row = dict[str, Any]
COLUMNS = (
    "file", "target", "class_name", "probability", "method", "preset", "lambda_k", "rate", "distortion",
    "ci_low", "ci_high", "retained", "seconds", "seed", "mask", "error",
)  # fmt: skip
SETTINGS, CSV, JSONL = "settings.json", "summary.csv", "summary.jsonl"
MASK = "_mask.safetensors"
LONGEST_NAME = 180  # bytes; file systems take 255, of which ours need some


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
        rows = self._read_rows()
        if rows and not overwrite:
            self._refuse_others(_read_settings(folder / SETTINGS))
        for left in folder.rglob(".*.[0-9]*.part"):  # of a run that was killed
            left.unlink()
        for row in rows if overwrite else ():
            for kind in ("_explanation.png", "_panel.png", MASK):  # the mask goes last: until then it is known as ours
                (folder / (row["mask"].removesuffix(MASK) + kind)).unlink(missing_ok=True)
        rows = [] if overwrite else rows
        self._done = {row["file"]: row for row in rows}
        self._names = {row["mask"].removesuffix(MASK): row["file"] for row in rows}
        write_atomically(folder / JSONL, "".join(json.dumps(row) + "\n" for row in rows).encode())
        write_atomically(folder / CSV, _csv_lines([dict(zip(COLUMNS, COLUMNS, strict=True)), *rows]).encode())
        write_atomically(folder / SETTINGS, json.dumps(settings, indent=2).encode())

    def has(self, source: Source) -> bool:
        """Whether the file has been explained."""
        return source.label in self._done

    def add(
        self,
        source: Source,
        row: Row,
        picture: Tensor,
        layout: Layout,
        tensors: dict[str, Tensor],
        panel: Figure | None,
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
        row = {**row, "file": source.label, "mask": f"{name}{MASK}", "error": ""}
        # the mask comes first: where a picture is beside a mask, `find_images` knows it for a result
        write_atomically(self.folder / row["mask"], mask_file(tensors, layout, {**self.settings, **row}))
        grey = io.BytesIO()
        Image.fromarray((picture[0] * 255).round().to(torch.uint8).cpu().numpy()).save(grey, "PNG")
        write_atomically(base.with_name(base.name + "_explanation.png"), grey.getvalue())
        if panel is not None:
            write_atomically(base.with_name(base.name + "_panel.png"), png(panel))
        self._done[row["file"]] = row
        return self._append(row)

    def fail(self, source: Source, error: str) -> Row:
        """Note a file that could not be explained."""
        return self._append({"file": source.label, "error": escape(" ".join(error.split()))})

    def _append(self, row: Row) -> Row:
        columns = {column: row.get(column, "") for column in COLUMNS}
        append(self.folder / JSONL, json.dumps(columns) + "\n")
        append(self.folder / CSV, _csv_lines([columns]))
        return {**row, **columns}

    def _claim(self, source: Source) -> str:
        """Output name: the input's without its ending; a second input of that name gets a hash of its path."""
        name = Path(escape(source.name)).with_suffix("").as_posix()
        too_long = len(Path(name).name.encode()) > LONGEST_NAME
        if too_long:
            name = Path(name).with_name(Path(name).name[: LONGEST_NAME // 4]).as_posix()
        if too_long or self._names.get(name, source.label) != source.label:
            name += "-" + hashlib.blake2b(source.label.encode(), digest_size=4).hexdigest()
        self._names[name] = source.label
        return name

    def _read_rows(self) -> list[Row]:
        """Rows to keep: a failed file is tried again, a row whose mask is gone or that was torn is made again."""
        file = self.folder / JSONL
        rows = []
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # torn by an interruption
            if not isinstance(row, dict) or set(row) != set(COLUMNS) or row["error"]:
                continue
            if isinstance(row["file"], str) and self._is_ours(row["mask"]):
                rows.append(row)
        return rows

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


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either there in full or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def append(path: Path, text: str) -> None:
    """Append to a file, or leave it as it was (on a full disk, say)."""
    size = path.stat().st_size
    try:
        with open(path, "a", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError:
        os.truncate(path, size)
        raise


def _csv_lines(rows: list[Row]) -> str:
    buffer = io.StringIO()
    csv.DictWriter(buffer, COLUMNS, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
