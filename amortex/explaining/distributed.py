"""Explaining files on all devices of a Lightning trainer, into one folder."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
from torch import distributed
from torch.utils.data import DataLoader

from amortex.core.process import ends_at_once
from amortex.explaining.batch import Request, explain_files, settings
from amortex.explaining.folder import Results, Shard
from amortex.explaining.rows import Row
from amortex.io.images import Source

PATIENCE = timedelta(days=30)  # with which a device that is done waits for the others


class FileExplainer(lightning.LightningModule):
    """Explains files in ``trainer.predict``.

    Arguments:
        request: what to explain them by.
        sources: the files; those that the process of rank zero is given.
        folder: of the `Results`.
        overwrite: forget what the folder holds.
        quiet: no progress bar.
    """

    def __init__(
        self, request: Request, sources: Sequence[Source], folder: Path, overwrite: bool = False, quiet: bool = False
    ) -> None:
        super().__init__()
        self.explainer = request.explainer  # to move with the module
        self.request, self.sources, self.folder = request, sources, folder
        self.overwrite, self.quiet = overwrite, quiet

    def predict_dataloader(self) -> DataLoader[Any]:
        # all files as one batch: what is left of them is shared out when it is known
        return DataLoader([self.sources], batch_size=None, collate_fn=list)  # type: ignore[arg-type]

    def predict_step(self, batch: list[Source], batch_index: int) -> list[Row]:
        """The rows of the summary, where the rank is zero."""
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
    """Explain files on all devices; returns the new rows in the process of rank zero, which merges the others'.

    It alone decides what is left to do, and deals it out. Each process writes its rows to a shard of its own, so that
    a run that does not come to its end loses none: the next one, on any number of devices, goes on from the shards.

    Raises:
        InputError: as `Results`.
        RuntimeError: another process died, which gloo notices by its connections.
    """
    rank, chosen = trainer.global_rank, settings(request)
    todo: list[Source] | Exception = []
    if rank == 0:
        try:
            results = Results(folder, chosen, overwrite)
            todo = results.todo(sources)
        except Exception as error:
            todo = error  # the others wait for an answer
    todo = trainer.strategy.broadcast(todo)
    if isinstance(todo, Exception):
        if rank:
            sys.exit(0)  # rank zero says why, if no launcher ends it before
        raise todo
    # shares take hours, and not all the same time: longer than processes usually wait for each other
    group: Any = distributed.new_group(backend="gloo", timeout=PATIENCE) if trainer.world_size > 1 else None
    shard = Shard(folder, chosen, rank)
    explain_files(request, todo[rank :: trainer.world_size], shard, quiet or rank > 0)
    if group is not None:
        distributed.barrier(group)
    return results.merge(trainer.world_size, sources) if rank == 0 else []
