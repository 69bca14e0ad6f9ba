"""Parts that all panels share: colours, titles, pictures, bars, PNG files."""

import io
import logging
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

INK, ACCENT, RULE = "#222222", "#0072B2", "#ffffff"  # blue of Okabe and Ito's colour-blind safe palette
# of the same palette, its yellow, which is too light for lines on white, replaced by a grey
COLOURS = (ACCENT, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8c8c8c")
TITLE_LINE = 0.185  # inches
GREY: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1}
HEAT: dict[str, Any] = {"cmap": "magma", "vmin": 0, "vmax": 1}
OCTAVES = (250, 500, 1000, 2000, 4000, 8000, 16000)  # in Hz, what a spectrogram's axis shows


def is_ranked(mask: Tensor, relevance: Tensor) -> bool:
    """Whether a mask ``(k,)`` only keeps or drops, so that the relevance behind it shows more."""
    return bool(((mask == 0) | (mask == 1)).all()) and not torch.equal(mask, relevance)


def write_title(figure: Figure, title: Sequence[str]) -> None:
    """Lines above a panel; the first is set in bold."""
    height = figure.get_figheight()
    head, *rest = title
    figure.text(0.012, 1 - 0.1 / height, head, fontsize=12, fontweight="bold", color=INK, va="top", parse_math=False)
    figure.text(0.012, 1 - 0.37 / height, "\n".join(rest), fontsize=9.5, color=INK, va="top")


def png(figure: Figure) -> bytes:
    """The figure as a PNG file. A character that the font lacks becomes a box, without a warning."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def pdf(figure: Figure) -> bytes:
    """The figure as a PDF file, for print: its text stays text, and the same figure gives the same bytes."""
    buffer = io.BytesIO()
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it warns of the dates in Matplotlib's own fonts
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(buffer, format="pdf", metadata={"CreationDate": None})
    return buffer.getvalue()


def stack(pictures: Sequence[bytes]) -> bytes:
    """PNG files of one width, below each other in one PNG file."""
    if len(pictures) == 1:
        return pictures[0]
    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    sheet = Image.new("RGB", (images[0].width, sum(image.height for image in images)), "white")
    top, buffer = 0, io.BytesIO()
    for image in images:
        sheet.paste(image, (0, top))
        top += image.height
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def draw_picture(axis: Axes, title: str, pixels: Tensor, **style: Any) -> None:
    shown = axis.imshow(np.asarray(pixels.detach().cpu()), interpolation="nearest", **style)
    axis.set_title(title, fontsize=9.5, color=INK)
    axis.set_axis_off()
    if style.get("cmap") == "magma":
        draw_colour_bar(axis, shown)


def draw_colour_bar(axis: Axes, shown: Any) -> None:
    """What the colours of a picture mean, from 0 to 1, beside it."""
    box = axis.inset_axes((1.02, 0, 0.025, 1))
    bar: Any = axis.figure.colorbar(shown, cax=box, ticks=(0, 1))
    bar.outline.set_visible(False)
    box.tick_params(labelsize=7, colors=INK, length=0, pad=2)


def turn(axis: Axes) -> None:
    """Have a picture ``(frames, bands)`` run to the right and upwards, over the whole axis."""
    for line in axis.get_lines():
        line.set_data(line.get_ydata(), line.get_xdata())
    for shown in axis.get_images():
        pixels = np.asarray(shown.get_array()).T
        height, width = pixels.shape
        shown.set_data(pixels[::-1])
        shown.set_extent((-0.5, width - 0.5, -0.5, height - 0.5))
        axis.set(xlim=(-0.5, width - 0.5), ylim=(-0.5, height - 0.5), aspect="auto")


def label_spectrogram(axis: Axes, frame_seconds: float | None, frequencies: Sequence[float] | None) -> None:
    """Label a picture that was turned in seconds and in kHz.

    Arguments:
        axis: of the picture, which is left as it is where neither is known.
        frame_seconds: from one frame to the next.
        frequencies: the centres of the bands in Hz, rising.
    """
    if frame_seconds is None and frequencies is None:
        return
    axis.set_axis_on()  # but for its frame
    axis.spines[:].set_visible(False)
    axis.set(xticks=[], yticks=[])
    axis.tick_params(length=2, labelsize=7.5, colors=INK, pad=1)
    if frame_seconds is not None:
        from matplotlib.ticker import MaxNLocator

        end = frame_seconds * (axis.get_xlim()[1] + 0.5)
        seconds = [tick for tick in MaxNLocator(5).tick_values(0, end) if tick <= end]
        axis.set_xticks([tick / frame_seconds - 0.5 for tick in seconds], [f"{tick:.3g}" for tick in seconds])
        axis.set_xlabel("seconds", fontsize=8.5, color=INK, labelpad=0)
    if frequencies is not None:
        octaves = [hertz for hertz in OCTAVES if frequencies[0] <= hertz <= frequencies[-1]]
        places = np.interp(octaves, frequencies, np.arange(len(frequencies)))
        axis.set_yticks(places, [f"{hertz / 1000:g}" for hertz in octaves])
        axis.set_ylabel("kHz", fontsize=8.5, color=INK, labelpad=0)


def draw_scales(axis: Axes, title: str, profile: Tensor, labels: Sequence[str], across: bool = False) -> None:
    """Bars from coarse to fine: the share of each scale, low-pass first, then level 1 (finest) to the coarsest.

    Arguments:
        axis: to draw on.
        title: of the axis.
        profile, labels: one value and one label per scale.
        across: draw the bars across, where labels are long: the finest on top.
    """
    order = [0, *range(len(profile) - 1, 0, -1)]
    shares, names = [100 * float(profile[index]) for index in order], [labels[index] for index in order]
    bars = (axis.barh if across else axis.bar)(names, shares, 0.75, color=ACCENT)
    axis.bar_label(bars, fmt="%.0f", fontsize=8, color=INK, padding=1)
    axis.set_title(title, fontsize=9.5, color=INK)
    if across:
        axis.tick_params(labelsize=7.5, colors=INK, length=2)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.12)
    else:
        axis.set_xlabel("level, coarse to fine", fontsize=8.5, color=INK)
        _plain(axis)
    if not any(shares):  # of an empty mask: no axis that is centred on zero
        (axis.set_xlim if across else axis.set_ylim)(0, 95)  # with room for the labels beside


def draw_histogram(axis: Axes, title: str, values: Tensor) -> None:
    shares, edges = np.histogram(values.detach().cpu().numpy(), bins=10, range=(0, 1))
    axis.bar(edges[:-1], 100 * shares / len(values), width=0.085, align="edge", color=ACCENT)
    axis.set_title(title, fontsize=9.5, color=INK)
    axis.set_xlabel("value", fontsize=8.5, color=INK)
    _plain(axis)


def _plain(axis: Axes) -> None:
    axis.set_box_aspect(1)
    axis.tick_params(labelsize=8, colors=INK, length=2)
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(y=0.12)
