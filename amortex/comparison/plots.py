"""Plots of a comparison for print: one column wide, at most eight curves each, for colour-blind people, too."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from matplotlib.figure import Figure

from amortex.comparison.effort import EMPTY, OBJECTIVE
from amortex.comparison.methods import Shown
from amortex.comparison.scale_plots import profile_plot, scale_plot
from amortex.comparison.styles import (
    COLUMN,
    EMPHASISED,
    MARKERS,
    RESOLUTION,
    Styles,
    draw_point,
    finish,
    label_axis,
    one_axis,
    row_styles,
    shares,
)
from amortex.comparison.tables import Table
from amortex.core.rates import LOWEST_LOG_RATE
from amortex.explaining.figures import COLOURS, INK
from amortex.metrics import Interval

CAPTIONS = {
    "rate_distortion": "Distortion when the most relevant share is kept, the rest noise (CartoonX, Fig. 7a)",
    "noise_out": "Distortion when noise replaces the most relevant share (CartoonX, Fig. 7b)",
    "mapped": "Pixel methods mapped to wavelet coefficients: distortion when the most relevant share is kept",
    "operating_points": "Rate and distortion of masks as they are (CartoonX, Fig. 7c)",
    "pareto": "Class probability on the most relevant share alone, the rest at zero",
    "scales": "Share of relevance per scale, and distortion where noise replaces that scale alone",
    "robustness": "Share of the importance at each scale, for each classifier (WAM, Fig. 10)",
    "effort": "The objective, mean over images and lambda_k, against classifier passes per image",
    "settings": "CartoonX's settings, each varied alone: rate and distance of the output (CartoonX, Fig. 8)",
}
DISTANCE = "$\\|p - p'\\|_2$, mean"
REFERENCE = "#777777"  # what curves are compared with


def all_plots(tables: Mapping[str, Table], shown: Mapping[str, Shown], scales: Sequence[str]) -> dict[str, Figure]:
    """The plots that the tables have values for, by name; `scales` are called so, the low-pass first.

    Where there are more rows than a figure shows, further ones have the names ``NAME_2``, ``NAME_3``, ...
    """
    figures: dict[str, Figure] = {}
    native, mapped = tables.get("native", {}), tables.get("mapped", {})
    styles = row_styles({row: shown.get(row, Shown(row)) for row in native})
    mapped_first = {**mapped, **{name: row for name, row in native.items() if "scale_0" in row}}
    bands = [row for row in native if shown.get(row, Shown(row)).kind in EMPHASISED]

    def add(name: str, rows: Iterable[str], drawn: Styles, draw: Callable[[Styles], Figure]) -> None:
        for number, share in enumerate(shares(list(rows)), 1):
            if share:
                figures[name if number == 1 else f"{name}_{number}"] = draw({row: drawn[row] for row in share})

    def curves(name: str, table: Table, prefix: str, axes: tuple[str, str], logarithmic: bool = True) -> None:
        order = table if table is mapped_first else styles
        rows = (row for row in order if row in table and _curve(table[row], prefix, logarithmic))
        add(name, rows, styles, partial(curve_plot, table, bands, prefix, axes, logarithmic))

    if native:
        curves("rate_distortion", native, "l2@", ("rate kept", DISTANCE))
        curves("noise_out", native, "out_l2@", ("rate replaced by noise", DISTANCE))
        points = (row for row in styles if _has_values(native[row], "rate", "distortion"))
        add("operating_points", points, styles, partial(operating_point_plot, native))
        curves("pareto", native, "inserted@", ("share of entries kept", "class probability"), logarithmic=False)
    if mapped:
        curves("mapped", mapped_first, "l2@", ("rate kept", DISTANCE))
    if "scales" in tables:
        without = tables["scales"]["without"]
        rows = [row for row in styles if _has_values(native[row], "scale_0") and shown[row].kind != "trivial"]
        if rows:
            add("scales", rows, styles, partial(scale_plot, without, native, scales))
        else:
            figures["scales"] = scale_plot(without, native, scales, {})
    profiles = {name: row for name, row in tables.get("robustness", {}).items() if _has_values(row, "scale_0")}
    if profiles:
        drawn = row_styles({row: shown.get(row, Shown(row)) for row in profiles})
        add("robustness", drawn, drawn, partial(profile_plot, profiles, scales))
    if "effort" in tables:
        lines = effort_lines(tables["effort"])
        drawn = row_styles({line: _line_shown(tables["effort"], line, shown) for line in lines if line != EMPTY})
        empty = _line_shown(tables["effort"], EMPTY, shown).label if EMPTY in lines else ""
        add("effort", drawn, drawn, partial(effort_plot, lines, empty))
    if "grid" in tables:
        figures["settings"] = settings_plot(tables["grid"])
    return figures


def caption(name: str) -> str:
    """The caption of a figure of `all_plots`."""
    base, _, number = name.rpartition("_")
    return f"{CAPTIONS[base]}: further rows" if number.isdecimal() else CAPTIONS[name]


def is_further(name: str) -> bool:
    """Whether a figure shows the rows beyond the first, which belong into an appendix."""
    return name not in CAPTIONS


def curve_plot(
    table: Table, bands: Sequence[str], prefix: str, axes: tuple[str, str], logarithmic: bool, styles: Styles
) -> Figure:
    """A line per row over the columns ``PREFIX RATE``; intervals as bands for the rows `bands`."""
    figure, axis = one_axis(styles)
    for name, style in styles.items():
        curve = _curve(table[name], prefix, logarithmic)
        rates, values = list(curve), list(curve.values())
        axis.plot(rates, [value.mean for value in values], markevery=max(1, len(rates) // 8), **style)
        if name in bands:
            low, high = [value.low for value in values], [value.high for value in values]
            axis.fill_between(rates, low, high, color=style["color"], alpha=0.1, lw=0)
    if logarithmic:
        axis.set_xscale("log")
    finish(figure, axis, axes)
    return figure


def _curve(row: dict[str, Interval], prefix: str, logarithmic: bool) -> dict[float, Interval]:
    """The values of a row over the rates of a plot; empty where it has none."""
    curve = {float(c.removeprefix(prefix)): value for c, value in row.items() if c.startswith(prefix)}
    curve = {rate: value for rate, value in curve.items() if not logarithmic or rate >= LOWEST_LOG_RATE}
    return curve if curve and not math.isnan(next(iter(curve.values())).mean) else {}


def _has_values(row: dict[str, Interval], *columns: str) -> bool:
    return all(column in row and not math.isnan(row[column].mean) for column in columns)


def operating_point_plot(table: Table, styles: Styles) -> Figure:
    """Rate and distortion of masks as they are."""
    figure, axis = one_axis(styles)
    for name, style in styles.items():
        draw_point(axis, table[name]["rate"], table[name]["distortion"], **{**style, "ls": "none", "ms": 5})
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    middle = math.sqrt(low * high)
    axis.set_xlim(min(low, middle / 2), max(high, middle * 2))  # rankings keep nearly the same share
    finish(figure, axis, ("rate of the mask", "distortion"))
    return figure


def effort_lines(table: Table) -> dict[str, list[tuple[float, float]]]:
    """Start -> its points: passes, and J, the mean over lambda_k."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for name, row in table.items():
        objectives = [interval.mean for column, interval in row.items() if column.startswith(OBJECTIVE)]
        point = (row["passes"].mean, sum(objectives) / len(objectives))
        lines.setdefault(name.partition("@")[0], []).append(point)
    return lines


def _line_shown(table: Table, line: str, shown: Mapping[str, Shown]) -> Shown:
    """How a line of the effort plot is shown: as its rows, without their budgets."""
    row = next(name for name in table if name.partition("@")[0] == line)
    label, kind = shown.get(row, Shown(row))
    return Shown(label.partition("@")[0], kind)


def effort_plot(lines: Mapping[str, Sequence[tuple[float, float]]], empty: str, styles: Styles) -> Figure:
    """J against classifier passes: a line per start; J of the empty mask, which is called `empty`, across."""
    figure, axis = one_axis({**styles, **({EMPTY: {"label": empty}} if empty else {})})
    for name, style in styles.items():
        passes, objective = zip(*sorted(lines[name]), strict=True)
        axis.plot(passes, objective, **style)
    if empty:
        axis.axhline(lines[EMPTY][0][1], color=REFERENCE, ls=":", lw=0.9, label=empty)
    axis.set(xscale="log", yscale="log")
    finish(figure, axis, ("classifier passes per image", "$J = D + \\lambda k\\, R$, mean"))
    return figure


def settings_plot(table: Table) -> Figure:
    """A panel per setting: where its values lead to, with intervals."""
    panels: dict[str, list[str]] = {}
    for name in table:
        panels.setdefault(name.partition(" = ")[0], []).append(name)
    figure = Figure(figsize=(2 * COLUMN, 2.2 * -(-len(panels) // 2)), dpi=RESOLUTION, layout="constrained")
    axes = figure.subplots(-(-len(panels) // 2), 2, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, (setting, names) in zip(axes.flat, panels.items(), strict=False):
        for index, name in enumerate(names):
            draw_point(axis, table[name]["rate"], table[name]["l2"], color=COLOURS[index % len(COLOURS)],
                   marker=MARKERS[index % len(MARKERS)], ls="none", ms=5, label=name.partition(" = ")[2])  # fmt: skip
        axis.set_xscale("log")
        axis.set_title(setting.replace("lambda_k", "$\\lambda k$"), fontsize=8, color=INK)
        label_axis(axis, ("rate of the mask", DISTANCE))
        axis.legend(fontsize=6.5, frameon=False)
    return figure
