"""Plots of a comparison over the scales, coarse to fine."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from amortex.comparison.styles import Styles, finish, one_axis
from amortex.comparison.tables import Table
from amortex.metrics import Interval


def scale_plot(without: dict[str, Interval], native: Table, names: Sequence[str], styles: Styles) -> Figure:
    """Distortion without each scale as bars, shares of relevance as lines."""
    figure, axis = one_axis({**styles, "bars": {"label": "distortion without it"}})
    low_pass, *details = without  # level 1, the finest, comes first
    columns, labels = [low_pass, *details[::-1]], [names[0], *names[:0:-1]]
    heights = [without[column].mean for column in columns]
    axis.bar(labels, heights, color="#dddddd", label="distortion without it", width=0.7)
    for name, style in styles.items():
        axis.plot(labels, [native[name][column].mean for column in columns], **style)
    axis.tick_params(axis="x", rotation=30)
    finish(figure, axis, ("scale, coarse to fine", "share of relevance (lines)"))
    return figure


def profile_plot(table: Table, names: Sequence[str], styles: Styles) -> Figure:
    """Shares of importance over the scales, coarse to fine: a line per row, with its intervals."""
    figure, axis = one_axis(styles)
    labels = [names[0], *names[:0:-1]]
    for name, style in styles.items():
        low_pass, *details = [interval for column, interval in table[name].items() if column.startswith("scale_")]
        values = [low_pass, *details[::-1]]
        axis.plot(labels, [value.mean for value in values], **style)
        low, high = [value.low for value in values], [value.high for value in values]
        axis.fill_between(labels, low, high, color=style["color"], alpha=0.15, lw=0)
    axis.tick_params(axis="x", rotation=30)
    finish(figure, axis, ("scale, coarse to fine", "share of importance"))
    return figure
