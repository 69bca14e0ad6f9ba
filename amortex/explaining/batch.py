"""Explaining many files: in batches, with results written as they come; one bad file never stops a run."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from amortex.core.errors import InputError
from amortex.core.process import out_of_memory
from amortex.explainers.base import Explainer
from amortex.explaining.provenance import provenance
from amortex.explaining.results import ExplanationResult, explain_timed
from amortex.explaining.rows import Row
from amortex.explaining.saving import write_input
from amortex.explaining.writer import Writer
from amortex.io.images import Preprocess, Source

logger = logging.getLogger(__name__)
BAR_FORMAT = "{l_bar}{bar}| {n:.1f}/{total} [{elapsed}<{remaining}]"


@dataclass(frozen=True)
class Request:
    """What to explain, and how to measure it.

    Arguments:
        explainer: what explains.
        method: its name in outputs.
        target: class index, or None for the predicted class of each image.
        certificate_samples: fresh noise draws per certificate; by default as many as the explainer's masks need.
        batch_size: images explained at once.
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
class ImageBatch:
    """Images that are explained together, beside the files that could not be read.

    Arguments:
        sources: of the images.
        images: ``(C, H, W)`` each.
        failures: unreadable files, each with the reason.
    """

    sources: list[Source]
    images: list[Tensor]
    failures: list[tuple[Source, str]]


def explain_files(request: Request, sources: Sequence[Source], writer: Writer, quiet: bool = False) -> list[Row]:
    """Explain files, and write pictures, masks and rows of the summary; the new rows.

    A file that cannot be read gets a row with its `error`.
    """
    rows: list[Row] = []
    preprocess = Preprocess(request.explainer.rate_distortion.classifier.data_config)
    # None lets tqdm hide the bar where there is no terminal
    disable = True if quiet else None
    with tqdm(total=len(sources), unit="image", disable=disable, smoothing=0.1, bar_format=BAR_FORMAT) as bar:
        for batch in _batches(preprocess, request.batch_size, sources):
            for source, reason in batch.failures:
                rows.append(writer.add_failure(source, reason))
                bar.update(1)
            if batch.sources:
                rows += _explain_batch(request, batch, writer, bar)
    if not quiet:
        preprocess.warn_of_small_images()
    return rows


def _batches(preprocess: Preprocess, size: int, sources: Sequence[Source]) -> Iterator[ImageBatch]:
    for start in range(0, len(sources), size):
        batch = ImageBatch([], [], [])
        for source in sources[start : start + size]:
            try:
                batch.images.append(preprocess.load(source.path))
                batch.sources.append(source)
            except InputError as error:
                batch.failures.append((source, str(error)))
        yield batch


def _explain_batch(request: Request, batch: ImageBatch, writer: Writer, bar: tqdm) -> list[Row]:
    """Explain and write one batch. Where memory runs out, it is done again in smaller chunks, once."""
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
    return [write_input(result, index, source, writer, request.panels) for index, source in enumerate(batch.sources)]


def _certified(request: Request, batch: ImageBatch, settings: dict[str, Any], bar: tqdm) -> ExplanationResult:
    """The result of a batch, measured."""
    explainer, count = request.explainer, len(batch.sources)
    device = explainer.rate_distortion.classifier.mean.device
    target = None if request.target is None else torch.full((count,), request.target, device=device)
    images, share = torch.stack(batch.images).to(device), count / explainer.steps
    result = explain_timed(
        ExplanationResult, explainer, settings, batch.sources, images, target, lambda *_: bar.update(share)
    )
    result.certificate()
    return result
