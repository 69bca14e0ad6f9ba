"""Rows of a summary: their columns, and how they are read and written."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
COLUMNS = (
    "file", "target", "class_name", "probability", "predicted", "method", "preset", "lambda_k", "rate",
    "distortion_name", "distortion", "ci_low", "ci_high", "retained", "retention", "retention_low", "retention_high",
    "kept_class", "kept_probability", "passes", "seconds", "seed", "mask", "caveats", "error",
)  # fmt: skip
# rows of earlier versions lack these, and still are results, which must not be overwritten unasked
LATER = {
    "retention",
    "retention_low",
    "retention_high",
    "kept_class",
    "kept_probability",
    "passes",
    "predicted",
    "distortion_name",
    "caveats",
}


def read_rows(file: Path) -> Iterator[Row]:
    """The valid rows of a JSON lines file. An interruption may have cut off a line."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        complete = isinstance(row, dict) and set(row) | LATER >= set(COLUMNS)
        if complete and all(isinstance(row[key], str) for key in ("file", "mask", "error")):
            yield row


def columns_of(row: Row) -> Row:
    """The columns of a row alone; those that it lacks are empty."""
    return {column: row.get(column, "") for column in COLUMNS}


def csv_lines(rows: Sequence[Row]) -> str:
    """Rows of exactly the columns as lines of a CSV file."""
    buffer = io.StringIO()
    csv.DictWriter(buffer, COLUMNS, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
