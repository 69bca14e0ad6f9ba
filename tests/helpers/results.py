"""Folders of results in tests: how they are made, and what is in them."""

from pathlib import Path

from helpers.explaining import FAST, explain

NAMES = ("a.png", "b.png", "c.png")


def one_by_one(inputs: Path, out: Path, *more: object) -> int:
    return explain(inputs, "--out", out, "--batch-size", 1, *FAST, *more)


def contents(out: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def files(rows: list[dict]) -> list[str]:
    return [Path(row["file"]).name for row in rows]
