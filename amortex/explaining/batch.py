"""Explaining many files: stream them in batches, write results as they come, resume, never stop for one bad file."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from amortex.core.errors import InputError
from amortex.core.process import out_of_memory
from amortex.core.version import __version__
from amortex.explainers.base import Explainer
from amortex.explaining.folder import Writer
from amortex.explaining.results import ExplanationResult, explain
from amortex.explaining.rows import Row
from amortex.io.images import Preprocess, Source
from amortex.rate_distortion.pipeline import RateDistortion

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What to explain and how to measure it.

    Arguments:
        explainer: the explainer.
        method: its name, as written into outputs.
        target: class index, or None for the predicted class of each image.
        certificate_samples: fresh noise draws per certificate.
        batch_size: images explained at once.
        panels: whether to draw panels beside the explanation pictures.
    """

    explainer: Explainer
    method: str
    target: int | None = None
    certificate_samples: int = 64
    batch_size: int = 8
    panels: bool = True


def settings(request: Request) -> dict[str, Any]:
    """Everything that determines the results, as plain values: written beside them, compared when resuming."""
    return {
        "method": request.method,
        **{f"explainer_{key}": value for key, value in request.explainer.settings().items()},
        "asked_target": "auto" if request.target is None else request.target,
        **problem(request.explainer.rate_distortion),
        "certificate_samples": request.certificate_samples,
    }


def problem(rd: RateDistortion) -> dict[str, Any]:
    """What is explained and how it is measured, as plain values."""
    config = rd.classifier.data_config
    return {
        "classifier": rd.classifier.name,
        "weights": rd.classifier.weights,
        "weights_digest": rd.classifier.fingerprint(),
        "model_args": rd.classifier.model_args,
        "class_names_digest": hashlib.blake2b(repr(rd.classifier.class_names).encode(), digest_size=8).hexdigest(),
        **{f"classifier_{key}": list(value) if isinstance(value, tuple) else value for key, value in config.items()},
        **{f"transform_{key}": value for key, value in rd.transform.settings().items()},
        "obfuscation": type(rd.obfuscation).__name__.lower(),
        "distortion": rd.distortion,
        "batch_invariant": rd.batch_invariant,
        "amortex": __version__,
    }


def explain_files(request: Request, todo: Sequence[Source], results: Writer, quiet: bool = False) -> list[Row]:
    """Explain what is left to do, writing pictures, masks and summary rows into `results`; returns the new rows.

    A file that cannot be read gets a row with its `error`.
    """
    rows: list[Row] = []
    # None lets tqdm hide the bar where there is no terminal
    with tqdm(total=len(todo), unit="image", disable=True if quiet else None, smoothing=0.1,
              bar_format="{l_bar}{bar}| {n:.1f}/{total} [{elapsed}<{remaining}]") as bar:  # fmt: skip
        for batch, images, failed in _batches(request, todo):
            for source, error in failed:
                rows.append(results.fail(source, error))
                bar.update(1)
            if batch:
                rows += _explain(request, batch, torch.stack(images), results, bar)
    return rows


Failures = list[tuple[Source, str]]


def _batches(request: Request, sources: Sequence[Source]) -> Iterator[tuple[list[Source], list[Tensor], Failures]]:
    preprocess = Preprocess(request.explainer.rate_distortion.classifier.data_config)
    for start in range(0, len(sources), request.batch_size):
        batch, images, failed = [], [], []
        for source in sources[start : start + request.batch_size]:
            try:
                images.append(preprocess.load(source.path))
                batch.append(source)
            except InputError as error:
                failed.append((source, str(error)))
        yield batch, images, failed


def _measured(
    request: Request, batch: list[Source], images: Tensor, target: Tensor | None, results: Writer, bar: tqdm
) -> ExplanationResult:
    share = len(batch) / request.explainer.steps
    explained = explain(request.explainer, results.settings, batch, images, target, lambda *_: bar.update(share))
    explained.certificate(request.certificate_samples)
    return explained


def _explain(request: Request, batch: list[Source], images: Tensor, results: Writer, bar: tqdm) -> list[Row]:
    explainer = request.explainer
    images = images.to(explainer.rate_distortion.classifier.mean.device)
    target = None if request.target is None else torch.full((len(batch),), request.target, device=images.device)
    done, explained = bar.n, None
    try:
        explained = _measured(request, batch, images, target, results, bar)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error) or not explainer.rate_distortion.back_off():
            raise
        size = explainer.rate_distortion.internal_batch_size
        logger.warning("out of memory: from now on with an internal batch size of %d", size)
    if explained is None:  # not in the handler above, where the error holds on to the memory
        bar.n = done
        explained = _measured(request, batch, images, target, results, bar)
    return [explained.write(index, source, results, request.panels) for index, source in enumerate(batch)]
