"""Explanations of sounds and volumes: for each method what `explain.py` writes, and the mixtures to listen to."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from amortex.comparison.explained_batch import ExplainedBatch, MixedBatch
from amortex.comparison.methods import Method
from amortex.explaining.results import ExplanationResult
from amortex.explaining.saving import panel_png
from amortex.explaining.views import view_of
from amortex.io.files import PANEL_ENDING, write_atomically
from amortex.io.sounds import sample_rate, wav_bytes


def write_signals(
    folder: Path,
    batch: ExplainedBatch,
    methods: Sequence[Method],
    shown: Mapping[int, tuple[int, str]],
    section: str = "",
    target: Tensor | None = None,
) -> dict[str, str]:
    """Write ``gallery/SECTION NUMBER/`` for signals of a batch: panels and files of each method, and the sounds.

    Arguments:
        folder: of the report.
        batch: of signals, or of mixtures.
        methods: by which they are explained.
        shown: position in the batch -> number and name of the signal.
        section: of a mixture, ``noise`` or ``overlap``; none for clean signals.
        target: classes ``(B,)`` to explain, by default the predicted ones.

    Returns:
        What the report shows, by keys that put the signals in order.
    """
    if not methods:
        return {}
    entries = {}
    for position, (number, name) in shown.items():
        path = f"gallery/{section}_{number}" if section else f"gallery/{number}"
        (folder / path).mkdir(parents=True, exist_ok=True)
        blocks = [f"### {name}{', ' + section if section else ''}"]
        links = []
        for label, content in original_sounds(batch, position, methods[0]).items():
            write_atomically(folder / path / f"{label}.wav", content)
            links.append(f"[{label}]({path}/{label}.wav)")
        blocks += [" ".join(links)] if links else []
        for method in methods:
            blocks += _write_method(folder, path, batch, method, position, target)
        entries[f"{section}{number:06}"] = "\n\n".join(blocks)
    return entries


def original_sounds(batch: ExplainedBatch, position: int, method: Method) -> dict[str, bytes]:
    """WAV files of a sound, and of its target and its corruption if it is a mixture; none of volumes."""
    signal = batch.signal[position]
    if signal.ndim != 2:
        return {}
    rate = sample_rate(method.explainer.rate_distortion.classifier.signal_config)
    if not isinstance(batch, MixedBatch):
        return {"original": wav_bytes(signal, rate)}
    parts = {"mixture": signal, "target": batch.target[position], "corruption": signal - batch.target[position]}
    return {label: wav_bytes(part, rate) for label, part in parts.items()}


def _write_method(
    folder: Path, path: str, batch: ExplainedBatch, method: Method, position: int, target: Tensor | None
) -> list[str]:
    """Write the files of one method; paragraphs of the report."""
    result = as_result(batch, method, target)
    base = method.file_name
    links = []
    for ending, content in view_of(result).files(result, position).items():
        write_atomically(folder / path / f"{base}{ending}", content)
        links.append(f"[{Path(ending).stem.strip('_')}]({path}/{base}{ending})")
    panel = f"{path}/{base}{PANEL_ENDING}"
    write_atomically(folder / panel, panel_png(result, position))
    return [f"**{method.shown.label}** {' '.join(links)}", f"![{method.shown.label}]({panel})"]


def as_result(batch: ExplainedBatch, method: Method, target: Tensor | None = None) -> ExplanationResult:
    """Explanations of a batch as `explain.py` has them."""
    timed = batch.explain(method, target)
    with torch.no_grad():
        return ExplanationResult(
            **vars(timed.explanation), rate_distortion=method.explainer.rate_distortion,
            settings={"method": method.shown.label, **method.settings}, sources=(), seconds=float(timed.seconds[0]),
        )  # fmt: skip
