"""The plot of the benchmark `peers`: distance against rate, and against seconds."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from amortex.comparison.plots import DISTANCE
from amortex.comparison.styles import LINES, Style
from amortex.comparison.tables import Table
from amortex.explaining.figures import COLOURS, INK

AT_RATE, MEAN_DISTANCE = "l2@", "l2_log_area"
FAMILY_COLOURS = {"trivial": "#c4c4c4", "gradient": "#999999", "activation map": "#666666", "perturbation": INK}
MARKERS = "osv^DPX*<>+xhpdH1234"  # more than there are other packages' methods


def plot(table: Table, kinds: Mapping[str, str]) -> Figure:
    """A line per row over the rates, and a mark at its seconds and mean distance; greys are families, light to dark."""
    figure = Figure(figsize=(11, 5), dpi=150, layout="constrained")
    curves, cost = figure.subplots(1, 2, sharey=True)
    for index, row in enumerate(table):
        style = _style(index, kinds[row])
        rates = {100 * float(c.removeprefix(AT_RATE)): v.mean for c, v in table[row].items() if c.startswith(AT_RATE)}
        curves.plot(list(rates), list(rates.values()), label=row, ms=3.5, **style)
        seconds, distance = table[row]["seconds"], table[row][MEAN_DISTANCE]
        up = [[max(0, distance.mean - distance.low)], [max(0, distance.high - distance.mean)]]
        cost.errorbar(
            seconds.mean, distance.mean, up if distance.low == distance.low else None, ls="none", lw=0.6,
            color=style["color"], marker=style["marker"], ms=6,
        )  # fmt: skip
    _finish(curves, "share kept (%)", DISTANCE)
    curves.minorticks_off()
    curves.set_xticks(list(rates), labels=[f"{rate:g}" for rate in rates])
    _finish(cost, "seconds per photograph, one thread", "")
    figure.legend(*curves.get_legend_handles_labels(), fontsize=7, frameon=False, loc="outside right upper")
    return figure


def _style(index: int, kind: str) -> Style:
    """Colours for amortex's methods, greys and thin lines for the others."""
    if kind in FAMILY_COLOURS:
        line = LINES[index % len(LINES)]
        return {"color": FAMILY_COLOURS[kind], "ls": line, "lw": 0.9, "marker": MARKERS[index % len(MARKERS)]}
    return {"color": COLOURS[index % len(COLOURS)], "ls": "-", "lw": 1.9, "marker": "o"}


def _finish(axis: Axes, across: str, up: str) -> None:
    axis.set_xscale("log")
    axis.set_xlabel(across, color=INK)
    axis.set_ylabel(up, color=INK)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
