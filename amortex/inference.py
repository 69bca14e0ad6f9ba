"""Explaining many files: stream them in batches, write results as they come, resume, never stop for one bad file."""

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from amortex import __version__
from amortex.certificate import Certificate, certify
from amortex.explainers.base import Explainer, Explanation, picture
from amortex.images import Preprocess, Source
from amortex.plots import panel
from amortex.process import out_of_memory
from amortex.rate_distortion import RateDistortion
from amortex.results import Results, Row
from amortex.types import InputError

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


def explain_files(request: Request, sources: Sequence[Source], results: Results, quiet: bool = False) -> list[Row]:
    """Explain `sources`, writing pictures, masks and summary rows into `results`; returns the new rows.

    Files that `results` already holds are skipped; a file that cannot be read gets a row with its `error`.
    """
    todo = [source for source in sources if not results.has(source)]
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


def _measure(
    request: Request, images: Tensor, target: Tensor | None, bar: tqdm
) -> tuple[Explanation, Certificate, Tensor, float]:
    """Explanation, certificate, which images ``(B,)`` are usable, and the explainer's seconds per image."""
    explainer, share = request.explainer, len(images) / request.explainer.steps
    start = time.perf_counter()
    explanation = explainer.explain(images, target, on_step=lambda step, mask: bar.update(share))
    usable = explanation.reference.probabilities.isfinite().all(-1) & explanation.mask.isfinite().all(-1)
    usable.tolist()  # waits for the device, so that the time below is the explainer's
    seconds = (time.perf_counter() - start) / len(images)
    return explanation, certify(explainer.rate_distortion, explanation, request.certificate_samples), usable, seconds


def _explain(request: Request, batch: list[Source], images: Tensor, results: Results, bar: tqdm) -> list[Row]:
    explainer = request.explainer
    rd = explainer.rate_distortion
    images = images.to(rd.classifier.mean.device)
    target = None if request.target is None else torch.full((len(batch),), request.target, device=images.device)
    done, measures = bar.n, None
    try:
        measures = _measure(request, images, target, bar)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error) or not rd.back_off():
            raise
        logger.warning("out of memory: from now on with an internal batch size of %d", rd.internal_batch_size)
    if measures is None:  # not in the handler above, where the error holds on to the memory
        bar.n = done
        measures = _measure(request, images, target, bar)
    explanation, certificate, usable, seconds = measures
    reference = explanation.reference
    finite = (usable & certificate.distortion.isfinite()).tolist()
    pictures, importance = picture(rd, explanation), explanation.importance.cpu()
    settings = explainer.settings()
    rows = []
    for index, source in enumerate(batch):
        if not finite[index]:
            rows.append(results.fail(source, f"{source.path}: the classifier's output is not finite"))
            continue
        measured = {name: values[index].item() for name, values in certificate._asdict().items()}
        extra = {name: values[index].item() for name, values in explanation.extra.items()}
        target_class = int(reference.target[index])
        row = {
            "target": target_class,
            "class_name": rd.classifier.class_name(target_class),
            "method": request.method,
            "preset": settings.get("preset", ""),
            "lambda_k": settings.get("lambda_k", ""),
            "alpha": settings.get("alpha"),
            "seconds": round(seconds, 3),
            "seed": settings["seed"],
            "measure": rd.distortion if bool(reference.predicted[index]) else "label_max",
            **measured,
        }
        tensors = {"mask": explanation.mask[index]}
        if explanation.relevance is not explanation.mask:
            tensors["relevance"] = explanation.relevance[index]
        if explanation.signed is not None:
            tensors["signed"] = explanation.signed[index]
        figure = None
        if request.panels:
            figure = panel(
                images[index].cpu(), pictures[index].cpu(), explanation.mask[index].cpu(),
                importance[index], reference.layout, _title(row, extra),
            )  # fmt: skip
        rows.append(results.add(source, {**row, **extra}, pictures[index], reference.layout, tensors, figure))
    return rows


def _title(row: Row, extra: dict[str, float]) -> list[str]:
    head = f"{row['class_name']}  ({row['probability']:.1%})"
    how = row["method"] + (f", {row['preset']}" if row["preset"] else "")
    if row["lambda_k"] != "":
        how += f", $\\lambda k$ = {row['lambda_k']:g}"
    if row["alpha"] is not None:
        how += f", $\\alpha$ = {row['alpha']:g}"
    measure = "distortion" if row["measure"] == "label_l2" else f"distortion ({row['measure']})"
    measured = (
        f"rate {row['rate']:.2%}    {measure} {row['distortion']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]    "
        f"class {'retained' if row['retained'] else 'not retained'}"
    )
    shares = "".join(
        f"    {name} {value:.2%}" if value <= 1 else f"    {value:.0f} {name}" for name, value in extra.items()
    )
    return [head, f"{how}    {measured}{shares}"]
