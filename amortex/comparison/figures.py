"""Plots of a comparison, readable in print and by colour-blind people."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from amortex.comparison.effort import EMPTY
from amortex.explaining.plots import COLOURS, INK
from amortex.metrics import Interval
from amortex.metrics.functional import LOWEST

Table = dict[str, dict[str, Interval]]  # row -> column -> interval

CAPTIONS = {
    "rate_distortion": "Distortion when the most relevant share is kept, the rest noise (CartoonX, Fig. 7a)",
    "noise_out": "Distortion when noise replaces the most relevant share (CartoonX, Fig. 7b)",
    "mapped": "The same as the first for pixel methods mapped to wavelet coefficients",
    "operating_points": "Rate and distortion of masks as they are (CartoonX, Fig. 7c)",
    "pareto": "Class probability on the most relevant share alone, the rest at zero",
    "scales": "Share of relevance per scale, and distortion where noise replaces that scale alone",
    "effort": "The objective, mean over images and lambda_k, against classifier passes per image",
    "settings": "CartoonX's settings, each varied alone: rate and distance of the output (CartoonX, Fig. 8)",
}
GREYS = ("#555555", "#888888", "#aaaaaa")
STYLES = ("-", "--", ":", "-.")


def draw(tables: dict[str, Table], kinds: dict[str, str]) -> dict[str, Figure]:
    """The plots that there are figures for, by name."""
    drawn: dict[str, Figure] = {}
    native, mapped = tables.get("native", {}), tables.get("mapped", {})
    if native:
        drawn["rate_distortion"] = curves(native, kinds, "l2@", "rate kept", "||p - p'||, mean", log=True)
        drawn["noise_out"] = curves(native, kinds, "out_l2@", "rate replaced by noise", "||p - p'||, mean", log=True)
        drawn["operating_points"] = points(native, kinds)
        drawn["pareto"] = curves(native, kinds, "inserted@", "share of entries kept", "class probability")
    if mapped:
        wavelets = {name: row for name, row in native.items() if "scale_0" in row}
        drawn["mapped"] = curves({**wavelets, **mapped}, kinds, "l2@", "rate kept", "||p - p'||, mean", log=True)
    if "scales" in tables:
        drawn["scales"] = scales(tables["scales"]["without"], native, kinds)
    if "effort" in tables:
        drawn["effort"] = effort(tables["effort"])
    if "grid" in tables:
        drawn["settings"] = settings(tables["grid"])
    return drawn


def curves(table: Table, kinds: dict[str, str], prefix: str, x: str, y: str,
           log: bool = False) -> Figure:  # fmt: skip
    """One line per method; intervals as bands for exact and amortized ones."""
    figure = Figure(figsize=(8, 4.6), dpi=150, layout="constrained")
    axis = figure.subplots()
    for name, style in styles(list(table), kinds).items():
        found = [(float(c.removeprefix(prefix)), i) for c, i in table[name].items() if c.startswith(prefix)]
        found = [(rate, i) for rate, i in found if not log or rate >= LOWEST]
        if not found or found[0][1].mean != found[0][1].mean:
            continue
        rates = [rate for rate, _ in found]
        axis.plot(rates, [i.mean for _, i in found], label=name, **style)
        if kinds.get(name) in ("exact", "amortized"):
            low, high = [i.low for _, i in found], [i.high for _, i in found]
            axis.fill_between(rates, low, high, color=style["color"], alpha=0.1, lw=0)
    if log:
        axis.set_xscale("log")
    _finish(figure, axis, x, y)
    return figure


def styles(names: Sequence[str], kinds: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Colours for exact and amortized methods, greys for the others, marks to tell them apart."""
    chosen: dict[str, dict[str, Any]] = {}
    strong = [name for name in names if kinds.get(name) in ("exact", "amortized")]
    weak = [name for name in names if name not in strong]
    for index, name in enumerate(strong):
        line = STYLES[index // len(COLOURS) % len(STYLES)]
        chosen[name] = {"color": COLOURS[index % len(COLOURS)], "ls": line, "lw": 1.9}
    for index, name in enumerate(weak):
        chosen[name] = {"color": GREYS[index % 3], "ls": STYLES[index // 3 % 4], "lw": 1.0,
                        "marker": "osv^DPX*<>+x"[index % 12], "ms": 3.5}  # fmt: skip
    return chosen


def points(table: Table, kinds: dict[str, str]) -> Figure:
    figure = Figure(figsize=(8, 4.6), dpi=150, layout="constrained")
    axis = figure.subplots()
    for name, style in styles(list(table), kinds).items():
        rate, distortion = table[name].get("rate"), table[name].get("distortion")
        if rate is None or distortion is None or rate.mean != rate.mean:
            continue
        _point(axis, rate, distortion, color=style["color"], marker=style.get("marker", "o"), label=name)
    axis.set_xscale("log")
    _finish(figure, axis, "rate of the mask", "distortion")
    return figure


def scales(without: dict[str, Interval], native: Table, kinds: dict[str, str]) -> Figure:
    figure = Figure(figsize=(8, 4.2), dpi=150, layout="constrained")
    axis = figure.subplots()
    first, *others = without  # the low-pass, then level 1, the finest, to J
    order, labels = [first, *others[::-1]], ["low", *(c.removeprefix("scale_") for c in others[::-1])]
    axis.bar(labels, [without[c].mean for c in order], color="#dddddd", label="distortion without it", width=0.7)
    strong = {name: row for name, row in native.items() if "scale_0" in row and kinds.get(name) != "trivial"}
    for name, style in styles(list(strong), kinds).items():
        axis.plot(labels, [strong[name][c].mean for c in order], label=f"share: {name}", **{"marker": "o", **style})
    _finish(figure, axis, "scale, coarse to fine", "distortion; share of relevance")
    return figure


def effort(table: Table) -> Figure:
    figure = Figure(figsize=(8, 4.6), dpi=150, layout="constrained")
    axis = figure.subplots()
    lines: dict[str, list[tuple[float, float]]] = {}
    for name, row in table.items():
        values = [interval.mean for column, interval in row.items() if column.startswith("J@")]
        lines.setdefault(name.partition("@")[0], []).append((row["passes"].mean, sum(values) / len(values)))
    for index, (name, found) in enumerate(lines.items()):
        x, y = zip(*sorted(found), strict=True)
        style: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)], "marker": "osv^DP<>"[index % 8], "ms": 4,
                                 "ls": STYLES[index // len(COLOURS)]}  # fmt: skip
        if name == EMPTY:
            axis.axhline(y[0], color=GREYS[0], ls=":", label=name)
        else:
            axis.plot(x, y, label=name, **style)
    axis.set(xscale="log", yscale="log")
    _finish(figure, axis, "classifier passes per image", "J = D + $\\lambda k$ R, mean")
    return figure


def settings(table: Table) -> Figure:
    """A panel per setting: where its values lead to, with intervals."""
    panels: dict[str, list[str]] = {}
    for name in table:
        panels.setdefault(name.partition(" = ")[0], []).append(name)
    figure = Figure(figsize=(8, 2.6 * math.ceil(len(panels) / 2)), dpi=150, layout="constrained")
    axes = figure.subplots(math.ceil(len(panels) / 2), 2, sharex=True, sharey=True, squeeze=False)
    for axis, (setting, names) in zip(axes.flat, panels.items(), strict=False):
        for index, name in enumerate(names):
            _point(axis, table[name]["rate"], table[name]["l2"], color=COLOURS[index % len(COLOURS)],
                   marker="osv^DP"[index % 6], label=name.partition(" = ")[2])  # fmt: skip
        axis.set(xscale="log", title=setting)
        axis.set_xlabel("rate of the mask", color=INK)
        axis.set_ylabel("||p - p'||, mean", color=INK)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=7, frameon=False)
    return figure


def _point(axis: Axes, x: Interval, y: Interval, **style: Any) -> None:
    """A mark with its intervals, where there are any."""
    across, up = (
        None if v.low != v.low or v.high != v.high else [[max(0, v.mean - v.low)], [max(0, v.high - v.mean)]]
        for v in (x, y)
    )
    axis.errorbar(x.mean, y.mean, yerr=up, xerr=across, ls="none", ms=5, lw=0.8, **style)


def _finish(figure: Figure, axis: Axes, x: str, y: str) -> None:
    axis.set_xlabel(x, color=INK)
    axis.set_ylabel(y, color=INK)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(fontsize=7, frameon=False, loc="outside right upper")
