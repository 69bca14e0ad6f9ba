"""The plot of the benchmark `convergence`: J over classifier passes."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from amortex.explaining.figures import COLOURS

Row = Mapping[str, Any]


def plot(rows: Sequence[Row], empty: float) -> Figure:
    """J over passes, an axis for each lambda_k; `empty` is J of the empty mask."""
    lambdas = sorted({row["lambda_k"] for row in rows})
    figure = Figure(figsize=(4.2 * len(lambdas), 3.4), dpi=150, layout="constrained")
    axes = figure.subplots(1, len(lambdas), squeeze=False)[0]
    for axis, lambda_k in zip(axes, lambdas, strict=True):
        draw(axis, [row for row in rows if row["lambda_k"] == lambda_k], empty)
        axis.set_title(f"$\\lambda k$ = {lambda_k:g}", fontsize=10)
    axes[0].legend(fontsize=8, frameon=False)
    return figure


def shown(name: str) -> str:
    """The name of a curve, as people write it."""
    return "bundled explainer" if name == "amortized" else f"CartoonX, {name}"


def draw(axis: Axes, rows: Sequence[Row], empty: float) -> None:
    """A line per preset."""
    for index, name in enumerate(dict.fromkeys(row["preset"] for row in rows)):
        passes, objective = zip(*((row["passes"], row["J"]) for row in rows if row["preset"] == name), strict=True)
        colour, marker, line = COLOURS[index % len(COLOURS)], "os^v"[index % 4], ("-", "--", "-.", ":")[index % 4]
        axis.plot(passes, objective, line, color=colour, marker=marker, ms=4, label=shown(name))
    axis.axhline(empty, color="#777777", lw=1, ls=":", label="empty mask")
    axis.set(xscale="log", yscale="log", xlabel="classifier passes per signal", ylabel="J = D + $\\lambda k$ R")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.grid(alpha=0.25)
