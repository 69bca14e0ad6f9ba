"""Writing explanations into a folder: mask files, what is shown, and a row of the summary for each."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from amortex.core.errors import escape
from amortex.core.layout import Layout
from amortex.explaining.rows import Row, columns_of
from amortex.io.files import MASK_ENDING, append, write_atomically
from amortex.io.finding import Source

SHARD = ".rows-{}.jsonl"  # the rows that one process has written


class Writer(ABC):
    """Writes explanations into a folder; subclasses know where the rows go.

    Arguments:
        folder: that exists.
        settings: everything that determines the results, as plain values.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder, self.settings = folder, settings

    def add(
        self,
        source: Source,
        row: Row,
        layout: Layout,
        tensors: Mapping[str, Tensor],
        files: Mapping[str, bytes],
    ) -> Row:
        """Write one explanation; its row, completed.

        Arguments:
            source: the input file, as `ResultsFolder.remaining` names it.
            row: its summary, without `file`, `mask` and `error`.
            layout: of the tensors.
            tensors: ``(k,)`` each: the ``mask``, and where the method has them ``relevance`` and ``signed``.
            files: contents of further files, by the endings of their names.
        """
        self.begin()
        base = self.folder / source.name
        base.parent.mkdir(parents=True, exist_ok=True)
        row = {**row, "file": source.label, "mask": f"{source.name.as_posix()}{MASK_ENDING}", "error": ""}
        # the mask comes first: a file beside a mask is known to be a result, and never explained itself
        write_atomically(self.folder / row["mask"], mask_file(tensors, layout, {**self.settings, **row}))
        for ending, content in files.items():
            write_atomically(base.with_name(base.name + ending), content)
        return self._append(row)

    def add_failure(self, source: Source, error: str) -> Row:
        """Note why a file could not be explained; its row."""
        self.begin()
        return self._append({"file": source.label, "error": escape(" ".join(error.split()))})

    def begin(self) -> None:  # noqa: B027, which most need not do
        """What has to be done before the first row."""

    @abstractmethod
    def _append(self, row: Row) -> Row: ...


class ShardWriter(Writer):
    """The part of one process, where several write into a folder: a `ResultsFolder` merges their rows later.

    Arguments:
        folder: of the `ResultsFolder`.
        settings: of the `ResultsFolder`.
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


def mask_file(tensors: Mapping[str, Tensor], layout: Layout, metadata: Mapping[str, Any]) -> bytes:
    """A safetensors file: the mask's bands by their names, further tensors as ``relevance.low`` and so on."""
    bands = {}
    for name, flat in tensors.items():
        prefix = "" if name == "mask" else name + "."
        for band, values in zip(layout.bands, layout.split(flat.detach().cpu().float()), strict=True):
            bands[prefix + band.name] = values.contiguous()
    return save(bands, {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()})
