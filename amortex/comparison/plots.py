"""Plots of a comparison, readable in print and by colour-blind people."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from amortex.comparison.effort import EMPTY, OBJECTIVE
from amortex.comparison.tables import Table
from amortex.explaining.figures import COLOURS, INK
from amortex.metrics import Interval
from amortex.metrics.functional import LOWEST_LOG_RATE

CAPTIONS = {
    "rate_distortion": "Distortion when the most relevant share is kept, the rest noise (CartoonX, Fig. 7a)",
    "noise_out": "Distortion when noise replaces the most relevant share (CartoonX, Fig. 7b)",
    "mapped": "The same as the first for pixel methods mapped to wavelet coefficients",
    "operating_points": "Rate and distortion of masks as they are (CartoonX, Fig. 7c)",
    "pareto": "Class probability on the most relevant share alone, the rest at zero",
    "scales": "Share of relevance per scale, and distortion where noise replaces that scale alone",
    "robustness": "Share of the importance at each scale, for each classifier (WAM, Fig. 10)",
    "effort": "The objective, mean over images and lambda_k, against classifier passes per image",
    "settings": "CartoonX's settings, each varied alone: rate and distance of the output (CartoonX, Fig. 8)",
}
GREYS = ("#555555", "#888888", "#aaaaaa")
LINES = ("-", "--", ":", "-.")
MARKERS = "osv^DPX*<>+x"
EMPHASISED = ("exact", "amortized")  # kinds of methods that are drawn in colour
DISTANCE = "||p - p'||, mean"

Kinds = Mapping[str, str]  # row -> kind of its method
Style = dict[str, Any]


def all_plots(tables: Mapping[str, Table], kinds: Kinds, scales: Sequence[str]) -> dict[str, Figure]:
    """The plots that the tables have values for, by name; `scales` are called so, the low-pass first."""
    figures: dict[str, Figure] = {}
    native, mapped = tables.get("native", {}), tables.get("mapped", {})
    if _has(native, "l2@"):
        figures["rate_distortion"] = curve_plot(native, kinds, "l2@", ("rate kept", DISTANCE), logarithmic=True)
        axes = ("rate replaced by noise", DISTANCE)
        figures["noise_out"] = curve_plot(native, kinds, "out_l2@", axes, logarithmic=True)
        figures["operating_points"] = operating_point_plot(native, kinds)
    if _has(native, "inserted@"):
        figures["pareto"] = curve_plot(native, kinds, "inserted@", ("share of entries kept", "class probability"))
    if _has(mapped, "l2@"):
        rows = {**{name: row for name, row in native.items() if "scale_0" in row}, **mapped}
        figures["mapped"] = curve_plot(rows, kinds, "l2@", ("rate kept", DISTANCE), logarithmic=True)
    if "scales" in tables:
        figures["scales"] = scale_plot(tables["scales"]["without"], native, kinds, scales)
    profiles = {name: row for name, row in tables.get("robustness", {}).items() if "scale_0" in row}
    if profiles:
        figures["robustness"] = profile_plot(profiles, scales)
    if "effort" in tables:
        figures["effort"] = effort_plot(tables["effort"])
    if "grid" in tables:
        figures["settings"] = settings_plot(tables["grid"])
    return figures


def _has(table: Table, prefix: str) -> bool:
    """Whether columns that begin so were measured."""
    return any(column.startswith(prefix) for row in table.values() for column in row)


def curve_plot(table: Table, kinds: Kinds, prefix: str, axes: tuple[str, str], logarithmic: bool = False) -> Figure:
    """A line per method over the columns ``PREFIX RATE``; intervals as bands for emphasised methods."""
    figure, axis = _one_axis()
    for name, style in line_styles(list(table), kinds).items():
        curve = {float(c.removeprefix(prefix)): value for c, value in table[name].items() if c.startswith(prefix)}
        curve = {rate: value for rate, value in curve.items() if not logarithmic or rate >= LOWEST_LOG_RATE}
        values = list(curve.values())
        if not values or math.isnan(values[0].mean):
            continue
        axis.plot(list(curve), [value.mean for value in values], label=name, **style)
        if kinds.get(name) in EMPHASISED:
            low, high = [value.low for value in values], [value.high for value in values]
            axis.fill_between(list(curve), low, high, color=style["color"], alpha=0.1, lw=0)
    if logarithmic:
        axis.set_xscale("log")
    _finish(figure, axis, axes)
    return figure


def line_styles(names: Sequence[str], kinds: Kinds) -> dict[str, Style]:
    """Colours for exact and amortized methods, greys for the others, marks to tell them apart."""
    chosen: dict[str, Style] = {}
    emphasised = [name for name in names if kinds.get(name) in EMPHASISED]
    for index, name in enumerate(emphasised):
        line = LINES[index // len(COLOURS) % len(LINES)]
        chosen[name] = {"color": COLOURS[index % len(COLOURS)], "ls": line, "lw": 1.9}
    for index, name in enumerate(name for name in names if name not in emphasised):
        grey, line = GREYS[index % len(GREYS)], LINES[index // len(GREYS) % len(LINES)]
        chosen[name] = {"color": grey, "ls": line, "lw": 1.0, "marker": MARKERS[index % len(MARKERS)], "ms": 3.5}
    return chosen


def operating_point_plot(table: Table, kinds: Kinds) -> Figure:
    """Rate and distortion of masks as they are."""
    figure, axis = _one_axis()
    for name, style in line_styles(list(table), kinds).items():
        rate, distortion = table[name].get("rate"), table[name].get("distortion")
        if rate is not None and distortion is not None and not math.isnan(rate.mean):
            marker = style.get("marker", "o")
            _point(axis, rate, distortion, color=style["color"], marker=marker, label=name)
    axis.set_xscale("log")
    _finish(figure, axis, ("rate of the mask", "distortion"))
    return figure


def scale_plot(without: dict[str, Interval], native: Table, kinds: Kinds, names: Sequence[str]) -> Figure:
    """Distortion without each scale as bars, shares of relevance as lines."""
    figure, axis = _one_axis(height=4.2)
    low_pass, *details = without  # level 1, the finest, comes first
    columns, labels = [low_pass, *details[::-1]], [names[0], *names[:0:-1]]
    heights = [without[column].mean for column in columns]
    axis.bar(labels, heights, color="#dddddd", label="distortion without it", width=0.7)
    rows = {name: row for name, row in native.items() if "scale_0" in row and kinds.get(name) != "trivial"}
    for name, style in line_styles(list(rows), kinds).items():
        shares = [rows[name][column].mean for column in columns]
        axis.plot(labels, shares, label=f"share: {name}", **{"marker": "o", **style})
    axis.tick_params(axis="x", rotation=30)
    _finish(figure, axis, ("scale, coarse to fine", "distortion; share of relevance"))
    return figure


def profile_plot(table: Table, names: Sequence[str]) -> Figure:
    """Shares of importance over the scales, coarse to fine: a line per row, with its intervals."""
    figure, axis = _one_axis(height=4.2)
    labels = [names[0], *names[:0:-1]]
    for name, style in line_styles(list(table), dict.fromkeys(table, "exact")).items():
        low_pass, *details = [interval for column, interval in table[name].items() if column.startswith("scale_")]
        shares = [low_pass, *details[::-1]]
        axis.plot(labels, [share.mean for share in shares], marker="o", ms=4, label=name, **style)
        low, high = [share.low for share in shares], [share.high for share in shares]
        axis.fill_between(labels, low, high, color=style["color"], alpha=0.15, lw=0)
    axis.tick_params(axis="x", rotation=30)
    _finish(figure, axis, ("scale, coarse to fine", "share of importance"))
    return figure


def effort_plot(table: Table) -> Figure:
    """J, the mean over lambda_k, against classifier passes: a line per start."""
    figure, axis = _one_axis()
    lines: dict[str, list[tuple[float, float]]] = {}
    for name, row in table.items():
        objectives = [interval.mean for column, interval in row.items() if column.startswith(OBJECTIVE)]
        point = (row["passes"].mean, sum(objectives) / len(objectives))
        lines.setdefault(name.partition("@")[0], []).append(point)
    for index, (name, points) in enumerate(lines.items()):
        passes, objective = zip(*sorted(points), strict=True)
        if name == EMPTY:
            axis.axhline(objective[0], color=GREYS[0], ls=":", label=name)
        else:
            colour, line = COLOURS[index % len(COLOURS)], LINES[index // len(COLOURS) % len(LINES)]
            axis.plot(passes, objective, label=name, color=colour, ls=line, marker="osv^DP<>"[index % 8], ms=4)
    axis.set(xscale="log", yscale="log")
    _finish(figure, axis, ("classifier passes per image", "J = D + $\\lambda k$ R, mean"))
    return figure


def settings_plot(table: Table) -> Figure:
    """A panel per setting: where its values lead to, with intervals."""
    panels: dict[str, list[str]] = {}
    for name in table:
        panels.setdefault(name.partition(" = ")[0], []).append(name)
    rows = math.ceil(len(panels) / 2)
    figure = Figure(figsize=(8, 2.6 * rows), dpi=150, layout="constrained")
    axes = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    for axis, (setting, names) in zip(axes.flat, panels.items(), strict=False):
        for index, name in enumerate(names):
            _point(axis, table[name]["rate"], table[name]["l2"], color=COLOURS[index % len(COLOURS)],
                   marker=MARKERS[index % 6], label=name.partition(" = ")[2])  # fmt: skip
        axis.set(xscale="log", title=setting)
        _label(axis, ("rate of the mask", DISTANCE))
        axis.legend(fontsize=7, frameon=False)
    return figure


def _one_axis(height: float = 4.6) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, height), dpi=150, layout="constrained")
    return figure, figure.subplots()


def _point(axis: Axes, x: Interval, y: Interval, **style: Any) -> None:
    """A mark with its intervals, where there are any."""
    across, up = (
        None if math.isnan(value.low + value.high)
        else [[max(0, value.mean - value.low)], [max(0, value.high - value.mean)]]
        for value in (x, y)
    )  # fmt: skip
    axis.errorbar(x.mean, y.mean, yerr=up, xerr=across, ls="none", ms=5, lw=0.8, **style)


def _label(axis: Axes, names: tuple[str, str]) -> None:
    axis.set_xlabel(names[0], color=INK)
    axis.set_ylabel(names[1], color=INK)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def _finish(figure: Figure, axis: Axes, names: tuple[str, str]) -> None:
    _label(axis, names)
    figure.legend(fontsize=7, frameon=False, loc="outside right upper")
