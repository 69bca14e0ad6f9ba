"""A folder of results: written atomically, resumable, of one setting."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from amortex.core.errors import InputError, escape
from amortex.explaining.locks import lock_folder
from amortex.explaining.rows import COLUMNS, Row, columns_of, csv_lines, read_rows
from amortex.explaining.writer import SHARD, Writer
from amortex.io.files import MASK_ENDING, RESULT_ENDINGS, append, left_over, write_atomically
from amortex.io.finding import Source

SETTINGS, CSV, JSONL = "settings.json", "summary.csv", "summary.jsonl"
MAX_NAME_BYTES = 180  # file systems take 255, of which endings and temporary names need a part


class ResultsFolder(Writer):
    """The folder that a run writes its results into.

    Arguments:
        folder: made unless it is there.
        settings: everything that determines the results, as plain values. A folder holds results of one setting: the
            same settings resume it, others are refused.
        overwrite: remove the results that the folder holds.

    Raises:
        InputError: the folder cannot be made, holds results of other settings, or another run writes to it.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], overwrite: bool = False) -> None:
        super().__init__(folder, settings)
        self._made = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # of a file, without permission, or where the file system takes no writing
            raise InputError(f"cannot write to {folder}: {error.strerror}; choose another folder (--out)") from error
        lock_folder(folder, owner=self)
        self._shards = list(folder.glob(SHARD.format("*")))  # of a run that was interrupted
        files = [folder / JSONL, *self._shards] if (folder / JSONL).exists() else self._shards
        rows = self._valid(row for file in files for row in read_rows(file))
        if rows and not overwrite:
            self._refuse_other_settings(_read_settings(folder / SETTINGS))
        self._remove_incomplete()
        self._overwritten, rows = (rows, []) if overwrite else ([], rows)
        self._done = {row["file"]: row for row in rows}
        self._names = {row["mask"].removesuffix(MASK_ENDING): row["file"] for row in rows}
        self._begun = False
        if not self._overwritten:
            self.begin()

    def begin(self) -> None:
        """Remove the results that are overwritten, and note the settings: before the first new result, and once."""
        if self._begun:
            return
        self._begun = True
        self._remove(self._overwritten)
        self._write_summaries(list(self._done.values()))
        write_atomically(self.folder / SETTINGS, json.dumps(self.settings, indent=2).encode())
        for shard in self._shards:
            shard.unlink()

    @contextmanager
    def removed_if_empty(self) -> Iterator[None]:
        """Leave nothing behind where what is done inside breaks off before the first result."""
        try:
            yield
        except BaseException:
            shards = list(self.folder.glob(SHARD.format("*")))
            if self._begun and not self._done and not any(shard.stat().st_size for shard in shards):
                for file in (self.folder / JSONL, self.folder / CSV, self.folder / SETTINGS, *shards):
                    file.unlink(missing_ok=True)
                with suppress(OSError):  # others have put files there
                    for path in self._made:
                        path.rmdir()
            raise

    def has(self, source: Source) -> bool:
        """Whether the file has been explained."""
        return source.label in self._done

    def remaining(self, sources: Sequence[Source]) -> list[Source]:
        """The sources that are not explained yet, each under the name of its results."""
        return [source._replace(name=Path(self._claim_name(source))) for source in sources if not self.has(source)]

    def merge(self, shards: int, order: Sequence[Source]) -> list[Row]:
        """Take over the rows of so many shards, all rows in the order of the inputs; the new ones."""
        files = [self.folder / SHARD.format(rank) for rank in range(shards)]
        places = {source.label: place for place, source in enumerate(order)}
        new = sorted((row for file in files for row in read_rows(file)), key=lambda row: places[row["file"]])
        self._done |= {row["file"]: row for row in new if not row["error"]}
        rows = [*self._done.values(), *(row for row in new if row["error"])]
        self._write_summaries(sorted(rows, key=lambda row: places.get(row["file"], -1)))
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

    def _write_summaries(self, rows: Sequence[Row]) -> None:
        rows = [columns_of(row) for row in rows]
        write_atomically(self.folder / JSONL, "".join(json.dumps(row) + "\n" for row in rows).encode())
        write_atomically(self.folder / CSV, csv_lines([dict(zip(COLUMNS, COLUMNS, strict=True)), *rows]).encode())

    def _claim_name(self, source: Source) -> str:
        """Name of the results: the input's without its ending; a second input of that name gets a hash of its path."""
        name = Path(escape(source.name)).with_suffix("").as_posix()
        too_long = len(Path(name).name.encode()) > MAX_NAME_BYTES
        if too_long:
            name = Path(name).with_name(Path(name).name[: MAX_NAME_BYTES // 4]).as_posix()
        if too_long or self._names.get(name, source.label) != source.label:
            name += "-" + hashlib.blake2b(source.label.encode(), digest_size=8).hexdigest()
        self._names[name] = source.label
        return name

    def _valid(self, rows: Iterable[Row]) -> list[Row]:
        """One row per file, without those that must be made again: failed files, and masks that are gone."""
        valid = (row for row in rows if not row["error"] and self._holds(row["mask"]))
        return list({row["file"]: row for row in valid}.values())

    def _holds(self, mask: Any) -> bool:
        """Whether a row names a mask file that exists within the folder."""
        if not isinstance(mask, str) or not mask.endswith(MASK_ENDING):
            return False
        try:
            file = (self.folder / mask).resolve()
        except (OSError, RuntimeError, ValueError):  # links in a circle, or text that cannot be a path
            return False
        return file.is_relative_to(self.folder.resolve()) and file.exists()

    def _refuse_other_settings(self, before: dict[str, Any]) -> None:
        changed = [key for key in {**before, **self.settings} if before.get(key) != self.settings.get(key)]
        if changed:
            # a digest tells people nothing, and neither does a whole schedule
            told = min(changed, key=lambda key: key.endswith(("decoder", "weights", "schedule")))
            old, new = before.get(told), self.settings.get(told)
            name = told.removeprefix("explainer_")
            raise InputError(
                f"{self.folder} holds results of other settings ({name} was {old}, now {new}): "
                "choose another folder, or overwrite it (--overwrite, overwrite=True)"
            )

    def _remove_incomplete(self) -> None:
        """Remove what a killed run has left, but not in a results folder within this one."""
        for path in left_over(self.folder, (*RESULT_ENDINGS, MASK_ENDING, CSV, JSONL, SETTINGS)):
            inner = (parent for parent in path.parents if self.folder in parent.parents)
            if not any((parent / SETTINGS).exists() for parent in inner):
                path.unlink()

    def _remove(self, rows: Sequence[Row]) -> None:
        """Remove results. The mask goes last: until then the pictures are known to be results."""
        for row in rows:
            for ending in (*RESULT_ENDINGS, MASK_ENDING):
                (self.folder / (row["mask"].removesuffix(MASK_ENDING) + ending)).unlink(missing_ok=True)


def _read_settings(file: Path) -> dict[str, Any]:
    """Settings of a folder; empty if they are lost, so that any settings differ from them."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}
