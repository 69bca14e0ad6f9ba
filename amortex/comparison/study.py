"""A row of a table: how it is measured on a batch of images, and what came out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from amortex.comparison.explained_batch import ExplainedBatch
from amortex.comparison.methods import Shown


@dataclass(frozen=True)
class Measurements:
    """Named values of a batch of images.

    Arguments:
        columns: their names.
        values: ``(B, columns)`` float64.

    >>> Measurements(("rate", "seconds"), torch.tensor([[0.1, 2.0], [0.2, 3.0]]))["seconds"]
    tensor([2., 3.])
    """

    columns: tuple[str, ...]
    values: Tensor

    def __getitem__(self, column: str) -> Tensor:
        """Values ``(B,)`` of a column."""
        return self.values[:, self.columns.index(column)]

    def starting_with(self, prefix: str) -> Tensor:
        """Values ``(B, N)`` of the columns whose names start so."""
        return torch.stack([self[column] for column in self.columns if column.startswith(prefix)], 1)

    def rows(self) -> list[dict[str, float]]:
        """The values of each image by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.values.tolist()]


@dataclass(frozen=True)
class Study:
    """One row of a table.

    Arguments:
        section: the table.
        name: the row.
        columns: names of the values.
        evaluate: a batch -> values ``(B, columns)`` float64.
        settings: everything, beside the image, that determines the values.
        medians: columns of which tables have the median instead of the mean.
        batch_of: a batch of images -> the batch that is measured: the same, or mixtures of it.
        shown: how reports show the row; by default its name.
    """

    section: str
    name: str
    columns: tuple[str, ...]
    evaluate: Callable[[ExplainedBatch], Tensor]
    settings: dict[str, Any]
    medians: tuple[str, ...] = ()
    batch_of: Callable[[ExplainedBatch], ExplainedBatch] = lambda batch: batch
    shown: Shown | None = None

    def measure(self, batch: ExplainedBatch) -> Measurements:
        """Values of a batch: from the cache, or measured and kept."""
        batch = self.batch_of(batch)
        settings, cache = {**self.settings, "device": batch.device}, batch.cache
        rows = [cache.load_values(digest, settings, self.columns) for digest in batch.digests]
        missing = [position for position, row in enumerate(rows) if row is None]
        if missing:
            for position, values in zip(missing, self.evaluate(batch.of(missing)), strict=True):
                rows[position] = values
                cache.save_values(batch.digests[position], settings, self.columns, values)
        measured = [row.to(batch.image.device) for row in rows if row is not None]
        return Measurements(self.columns, torch.stack(measured))
