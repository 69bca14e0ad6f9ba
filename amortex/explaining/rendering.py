"""Results as people read them: lines of text, and panels. Matplotlib is imported only where a panel is drawn."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from amortex.core.errors import InputError, escape
from amortex.explaining.results import ExplanationResult
from amortex.explaining.rows import Row
from amortex.io.files import EXPLANATION_ENDING, PANEL_ENDING
from amortex.rate_distortion.certificate import caution, measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def summary_line(label: str, row: Row) -> str:
    """One input in one line: class, rate, and what is measured."""
    certified = "not measured yet: certificate()"
    if "distortion" in row:
        certified = f"distortion ({row['distortion_name']}) {measured(row)}"
    return (
        f"{label}: {escape(row['class_name'])} {row['probability']:.1%}, rate {row['rate']:.2%}, {certified}, "
        f"{row['seconds']:.3g} s{caution(row)}"
    )


def title_lines(row: Row, extra: Sequence[str] = ()) -> list[str]:
    """The lines above a panel: class, method, certificate and its caveats; `extra` are further keys of the row."""
    method = row["method"] + (f", {row['preset']}" if row["preset"] else "")
    if row["lambda_k"] != "":
        method += f", $\\lambda k$ = {row['lambda_k']:g}"
    if row["alpha"] is not None:
        method += f", $\\alpha$ = {row['alpha']:g}"
    method += f"    rate {row['rate']:.2%}"
    for key in extra:
        method += f"    {row[key]:.0f} {key}" if key == "passes" else f"    {key} {row[key]:.2%}"
    lines = [f"{row['class_name']}  ({row['probability']:.1%})", method]
    if "distortion" in row:
        name = "distortion" if row["distortion_name"] == "label_l2" else f"distortion ({row['distortion_name']})"
        lines.append(f"{name} {measured(row)}; obfuscation {row['obfuscation']}")
    if row.get("caveats"):
        lines.append(f"caution: {row['caveats']}")
    return lines


def has_pictures(result: ExplanationResult) -> bool:
    """Whether the inputs are images: sounds and volumes have masks and measurements, but no pictures."""
    return len(result.encoded.layout.size) == 2


def draw_panel(result: ExplanationResult, index: int = 0) -> "Figure":
    """Image, explanation, mask and importance per scale of one image.

    Raises:
        InputError: the inputs are no images.
    """
    from amortex.explaining.plots import panel

    encoded = result.encoded
    if not has_pictures(result):
        raise InputError(f"panels show images, not signals with {len(encoded.layout.size)} axes")
    return panel(
        encoded.image[index].cpu(), result.picture[index].cpu(), result.mask[index].cpu(),
        result.importance[index].cpu(), encoded.layout, title_lines(result.row(index), list(result.extra)),
    )  # fmt: skip


def panel_png(result: ExplanationResult, index: int = 0) -> bytes:
    """The panel of one image as a PNG file."""
    from amortex.explaining.plots import png

    return png(draw_panel(result, index))


def grey_png(picture: Tensor) -> bytes:
    """A grey picture ``(1, H, W)`` in [0, 1] as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray((picture[0] * 255).round().to(torch.uint8).cpu().numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def picture_files(result: ExplanationResult, index: int, panels: bool = True) -> dict[str, bytes]:
    """Contents of the picture files of one image, by the endings of their names; none for other signals."""
    if not has_pictures(result):
        return {}
    files = {EXPLANATION_ENDING: grey_png(result.picture[index])}
    return {**files, PANEL_ENDING: panel_png(result, index)} if panels else files
