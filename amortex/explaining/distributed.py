"""Explaining files on all devices of a Lightning trainer, into one folder."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
from torch import distributed
from torch.utils.data import DataLoader

from amortex.core.process import ends_at_once
from amortex.explaining.batch import Request, explain_files
from amortex.explaining.folder import ResultsFolder
from amortex.explaining.rows import Row
from amortex.explaining.writer import ShardWriter
from amortex.io.finding import Source

LONGEST_WAIT = timedelta(days=30)  # of a device that is done for the others


class FileExplainer(lightning.LightningModule):
    """Explains files in ``trainer.predict``.

    Arguments:
        request: what to explain them with.
        sources: the files. Those of the process of rank zero count.
        folder: of the `ResultsFolder`.
        overwrite: remove the results that the folder holds.
        quiet: no progress bar.
    """

    def __init__(
        self, request: Request, sources: Sequence[Source], folder: Path, overwrite: bool = False, quiet: bool = False
    ) -> None:
        super().__init__()
        self.explainer = request.explainer  # a submodule, so that it moves with this one
        self.request, self.sources, self.folder = request, sources, folder
        self.overwrite, self.quiet = overwrite, quiet

    def predict_dataloader(self) -> DataLoader[Any]:
        # one batch of all files: rank zero shares out what is left of them
        return DataLoader([self.sources], batch_size=None, collate_fn=list)  # type: ignore[arg-type]

    def predict_step(self, batch: list[Source], batch_index: int) -> list[Row]:
        """The rows of the summary in the process of rank zero; none in others."""
        return explain_shared(self.trainer, self.request, batch, self.folder, self.overwrite, self.quiet)


@ends_at_once()
def explain_shared(
    trainer: Any,
    request: Request,
    sources: Sequence[Source],
    folder: Path,
    overwrite: bool = False,
    quiet: bool = False,
) -> list[Row]:
    """Explain files on all devices; the new rows in the process of rank zero, none in others.

    Rank zero decides what is left to do, and shares it out. Each process writes its rows to its shard, and rank zero
    merges the shards at the end. So an interrupted run loses nothing: the next one, on any number of devices, takes
    over the shards.

    Raises:
        InputError: as `ResultsFolder`.
        RuntimeError: another process died, which gloo notices by its connections.
    """
    rank, settings = trainer.global_rank, request.settings()
    remaining: list[Source] | Exception = []
    if rank == 0:
        try:
            results = ResultsFolder(folder, settings, overwrite)
            remaining = results.remaining(sources)
            results.begin()  # other processes write beside it
        except Exception as error:
            remaining = error  # the other processes wait for an answer
    remaining = trainer.strategy.broadcast(remaining)
    if isinstance(remaining, Exception):
        if rank:
            sys.exit(0)  # rank zero says why, unless a launcher ends it first
        raise remaining
    # shares take hours, and differ by more than processes usually wait for each other
    group: Any = distributed.new_group(backend="gloo", timeout=LONGEST_WAIT) if trainer.world_size > 1 else None
    alone = trainer.world_size == 1  # else others may have results
    with results.removed_if_empty() if alone else nullcontext():
        shard = ShardWriter(folder, settings, rank)
        explain_files(request, remaining[rank :: trainer.world_size], shard, quiet or rank > 0)
    if group is not None:
        distributed.barrier(group)
    return results.merge(trainer.world_size, sources) if rank == 0 else []
