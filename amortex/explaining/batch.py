"""Explaining many files: in batches, with results written as they come; one bad file never stops a run."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from amortex.core.errors import InputError
from amortex.core.modalities import modality_of
from amortex.core.process import out_of_memory
from amortex.explainers.base import Explainer
from amortex.explaining.provenance import provenance
from amortex.explaining.results import ExplanationResult, explain_timed
from amortex.explaining.rows import Row
from amortex.explaining.saving import write_input
from amortex.explaining.writer import Writer
from amortex.io.finding import Source
from amortex.io.readers import Reader, reader_of

logger = logging.getLogger(__name__)
BAR_FORMAT = "{l_bar}{bar}| {n:.1f}/{total} [{elapsed}<{remaining}]"


@dataclass(frozen=True)
class Request:
    """What to explain, and how to measure it.

    Arguments:
        explainer: what explains.
        method: its name in outputs.
        target: class index, or None for the predicted class of each input.
        certificate_samples: fresh noise draws per certificate; by default as many as the explainer's masks need.
        batch_size: inputs explained at once.
        panels: whether to draw panels beside the pictures of the explanations.
    """

    explainer: Explainer
    method: str
    target: int | None = None
    certificate_samples: int | None = None
    batch_size: int = 8
    panels: bool = True

    def settings(self) -> dict[str, Any]:
        """Everything that determines the results, as plain values."""
        return {
            "method": self.method,
            **{f"explainer_{key}": value for key, value in self.explainer.settings().items()},
            "asked_target": "auto" if self.target is None else self.target,
            **provenance(self.explainer.rate_distortion),
            "certificate_samples": self.certificate_samples or self.explainer.certificate_samples,
        }


@dataclass(frozen=True)
class SignalBatch:
    """Signals that are explained together, beside the files that could not be read.

    Arguments:
        sources: of the signals.
        signals: ``(C, *size)`` each.
        failures: unreadable files, each with the reason.
    """

    sources: list[Source]
    signals: list[Tensor]
    failures: list[tuple[Source, str]]


def explain_files(
    request: Request,
    sources: Sequence[Source],
    writer: Writer,
    quiet: bool = False,
    on_row: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Explain files, and write pictures, masks and rows of the summary; the new rows.

    A file that cannot be read gets a row with its `error`. `on_row` is called with each row when it is written.
    """
    on_row = on_row or (lambda row: None)
    rows: list[Row] = []
    data_config = request.explainer.rate_distortion.classifier.signal_config
    reader, noun = reader_of(data_config), modality_of(len(data_config["input_size"]) - 1).noun
    # None lets tqdm hide the bar where there is no terminal
    disable = True if quiet else None
    with tqdm(total=len(sources), unit=noun, disable=disable, smoothing=0.1, bar_format=BAR_FORMAT) as bar:
        for batch in _batches(reader, request.batch_size, sources):
            for source, reason in batch.failures:
                rows.append(writer.add_failure(source, reason))
                on_row(rows[-1])
                bar.update(1)
            if batch.sources:
                for row in _explain_batch(request, batch, writer, bar):
                    rows.append(row)
                    on_row(row)
    if not quiet:
        reader.give_notices()
    return rows


def _batches(reader: Reader, size: int, sources: Sequence[Source]) -> Iterator[SignalBatch]:
    """Signals in their order, at most `size` of one shape at once."""
    batch = SignalBatch([], [], [])
    for source in sources:
        try:
            signal = reader.load(source.path)
        except InputError as error:
            batch.failures.append((source, str(error)))
            continue
        if batch.signals and (len(batch.signals) == size or signal.shape != batch.signals[0].shape):
            yield batch
            batch = SignalBatch([], [], [])
        batch.signals.append(signal)
        batch.sources.append(source)
    yield batch


def _explain_batch(request: Request, batch: SignalBatch, writer: Writer, bar: tqdm) -> Iterator[Row]:
    """Explain and write one batch, row by row. Where memory runs out, it is done again in smaller chunks, once."""
    rd, position = request.explainer.rate_distortion, bar.n
    result = None
    try:
        result = _certified(request, batch, writer.settings, bar)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error) or not rd.back_off():
            raise
        logger.warning("out of memory: from now on with an internal batch size of %d", rd.internal_batch_size)
    if result is None:  # outside the handler, whose error holds on to the memory
        bar.n = position
        result = _certified(request, batch, writer.settings, bar)
    for index, source in enumerate(batch.sources):
        yield write_input(result, index, source, writer, request.panels)


def _certified(request: Request, batch: SignalBatch, settings: dict[str, Any], bar: tqdm) -> ExplanationResult:
    """The result of a batch, measured."""
    explainer, count = request.explainer, len(batch.sources)
    classifier = explainer.rate_distortion.classifier
    device = classifier.mean.device
    target = None if request.target is None else torch.full((count,), request.target, device=device)
    signals, share = classifier.front_end(torch.stack(batch.signals).to(device)), count / explainer.steps
    result = explain_timed(
        ExplanationResult, explainer, settings, batch.sources, signals, target, lambda *_: bar.update(share)
    )
    result.certificate()
    return result
