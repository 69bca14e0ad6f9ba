"""Writing results into a folder."""

import math
from pathlib import Path

from amortex.core.errors import InputError
from amortex.explaining.folder import ResultsFolder
from amortex.explaining.results import ExplanationResult
from amortex.explaining.rows import Row
from amortex.explaining.views import view_of
from amortex.explaining.writer import Writer
from amortex.io.files import PANEL_ENDING
from amortex.io.finding import Source


def save_result(
    result: ExplanationResult, folder: Path, samples: int | None = None, overwrite: bool = False
) -> list[Row]:
    """Write all inputs that the folder does not hold yet; the new rows of the summary.

    Raises:
        InputError: as `ResultsFolder`, or one file is explained for two classes.
    """
    labels = [source.label for source in result.sources]
    if len(set(zip(labels, result.encoded.target.tolist(), strict=True))) > len(set(labels)):
        raise InputError("a folder holds one class of each input: save explanations of others to another folder")
    samples = result.samples if samples is None else samples
    result.certificate(samples)
    writer = ResultsFolder(folder, {**result.settings, "certificate_samples": samples}, overwrite)
    indices = {label: index for index, label in enumerate(labels)}
    remaining = {source.label: source for source in writer.remaining(result.sources)}
    return [write_input(result, indices[label], source, writer) for label, source in remaining.items()]


def write_input(result: ExplanationResult, index: int, source: Source, writer: Writer, panels: bool = True) -> Row:
    """Write one input as `source`; its row of the summary, with an `error` where a value is not finite."""
    row, mask = result.row(index, writer.settings["certificate_samples"]), result.mask[index]
    values = (result.encoded.probabilities[index], mask, result.relevance[index])
    if not (all(bool(value.isfinite().all()) for value in values) and math.isfinite(row["distortion"])):
        return writer.add_failure(source, f"{source.path}: the classifier's output or its gradient is not finite")
    tensors = {"mask": mask}
    if result.relevance is not result.mask:
        tensors["relevance"] = result.relevance[index]
    if result.signed is not None:
        tensors["signed"] = result.signed[index]
    files = view_of(result).files(result, index)
    if panels:
        files[PANEL_ENDING] = panel_png(result, index)
    return writer.add(source, row, result.encoded.layout, tensors, files)


def panel_png(result: ExplanationResult, index: int = 0) -> bytes:
    """The panel of one input as a PNG file."""
    from amortex.explaining.figures import png

    return png(view_of(result).draw(result, index))
