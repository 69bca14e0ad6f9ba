"""`explain.py` on a small network, and what it writes."""

import csv
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from amortex.app.explain_cli import main

TINY = (
    "--input-size", "32", "--mean", "0.5", "--std", "0.5", "--levels", "2", "--certificate-samples", "4",
    "--device", "cpu", "--no-panels", "--quiet",
)  # fmt: skip
FAST = ("--steps", "3", "--samples", "1")
COLUMNS = (
    "file", "target", "class_name", "probability", "predicted", "method", "preset", "lambda_k", "rate",
    "distortion_name", "distortion", "ci_low", "ci_high", "retained", "retention", "retention_low", "retention_high",
    "kept_class", "kept_probability", "passes", "seconds", "seed", "mask", "caveats", "error",
)  # fmt: skip


def explain(*arguments: object, network: str = "TinyNet") -> int:
    """`explain.py` on a tiny network; its exit status."""
    return main(["--classifier", f"helpers.networks.{network}", *TINY, *map(str, arguments)])


def rows(out: Path) -> list[dict]:
    """The rows of summary.jsonl, which must be those of summary.csv."""
    records = [json.loads(line) for line in (out / "summary.jsonl").read_text().splitlines()]
    with open(out / "summary.csv", newline="", encoding="utf-8") as file:
        table = list(csv.reader(file))
    assert tuple(table[0]) == COLUMNS
    assert all(tuple(row) == COLUMNS for row in records)
    assert table[1:] == [[str(value) for value in row.values()] for row in records]
    return records


def mask_file(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata."""
    with safe_open(path, "numpy") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


def flat_mask(path: Path) -> torch.Tensor:
    return torch.cat([torch.tensor(t).flatten() for key, t in mask_file(path)[0].items() if "." not in key])
