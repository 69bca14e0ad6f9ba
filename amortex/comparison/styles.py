"""What plots share: axes as wide as a column of print, and one colour, line and marker for each row of the tables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from amortex.comparison.methods import Shown
from amortex.explaining.figures import COLOURS, INK
from amortex.metrics import Interval

MOST_CURVES = 8  # in a figure: as many as there are colours
LINES = ("-", "--", "-.", ":")
MARKERS = "osv^DPX*<>p"  # their number has no divisor with that of the colours: no two of 88 rows look alike
EMPHASISED = ("exact", "amortized")  # kinds of rows that are drawn bold, with intervals
COLUMN, LEGEND_ROW = 3.4, 0.15  # inches: the width of a column of print, and the height of a row of the legend
RESOLUTION = 220  # dots per inch of PNG files
WIDEST_WITH_FINE_TICKS = 1000.0  # of a log axis, its end over its start: beyond, labels at 2 and 5 would overlap
WIDE_LABEL = 24  # characters: legends with longer ones have one column

Style = dict[str, Any]
Styles = Mapping[str, Style]  # by row


def row_styles(shown: Mapping[str, Shown]) -> dict[str, Style]:
    """Row -> arguments of matplotlib's ``plot``: trained explainers first, then the others in their order.

    >>> [style["label"] for style in row_styles({"b": Shown("B"), "a": Shown("A", "amortized")}).values()]
    ['A', 'B']
    """
    order = sorted(shown, key=lambda row: shown[row].kind != "amortized")
    return {row: _style(index, shown[row]) for index, row in enumerate(order)}


def _style(index: int, shown: Shown) -> Style:
    return {
        "label": shown.label,
        "color": COLOURS[index % len(COLOURS)],
        "ls": LINES[index // len(COLOURS) % len(LINES)],
        "marker": MARKERS[index % len(MARKERS)],
        "lw": 1.4 if shown.kind in EMPHASISED else 0.9,
        "ms": 3.5,
    }


def shares(rows: Sequence[str]) -> list[Sequence[str]]:
    """The rows of each figure: the first `MOST_CURVES`, and the others in figures of the same number.

    >>> [len(rows) for rows in shares("abcdefghijklmnopq")]
    [8, 5, 4]
    """
    first, rest = rows[:MOST_CURVES], rows[MOST_CURVES:]
    size = math.ceil(len(rest) / max(1, math.ceil(len(rest) / MOST_CURVES)))
    return [first, *(rest[start : start + size] for start in range(0, len(rest), max(1, size)))]


def one_axis(labelled: Styles) -> tuple[Figure, Axes]:
    """A figure of one column, with room for a legend of these rows below the axis."""
    rows = math.ceil(len(labelled) / _legend_columns([style["label"] for style in labelled.values()]))
    figure = Figure(figsize=(COLUMN, 2.4 + LEGEND_ROW * rows), dpi=RESOLUTION, layout="constrained")
    return figure, figure.subplots()


def _legend_columns(labels: Sequence[str]) -> int:
    return 1 if max(map(len, labels), default=0) > WIDE_LABEL else 2


def draw_point(axis: Axes, x: Interval, y: Interval, **style: Any) -> None:
    """A mark with its intervals, where there are any."""
    across, up = (
        None if math.isnan(value.low + value.high)
        else [[max(0, value.mean - value.low)], [max(0, value.high - value.mean)]]
        for value in (x, y)
    )  # fmt: skip
    axis.errorbar(x.mean, y.mean, yerr=up, xerr=across, **{**style, "lw": 0.8})


def label_axis(axis: Axes, names: tuple[str, str]) -> None:
    axis.set_xlabel(names[0], color=INK, fontsize=8)
    axis.set_ylabel(names[1], color=INK, fontsize=8)
    axis.tick_params(which="both", labelsize=7, colors=INK)
    for along in (axis.xaxis, axis.yaxis):
        if along.get_scale() == "log":
            low, high = along.get_view_interval()
            subs = (1, 2, 5) if high < low * WIDEST_WITH_FINE_TICKS else (1,)
            along.set_major_locator(LogLocator(subs=subs))
            along.set_major_formatter("{x:g}")
            along.set_minor_formatter(NullFormatter())
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def finish(figure: Figure, axis: Axes, names: tuple[str, str]) -> None:
    label_axis(axis, names)
    columns = _legend_columns(axis.get_legend_handles_labels()[1])
    figure.legend(fontsize=6.5, frameon=False, loc="outside lower center", ncols=columns, handlelength=2.6)
