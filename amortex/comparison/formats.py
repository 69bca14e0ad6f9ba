"""Tables as Markdown and as CSV."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from amortex.comparison.tables import Table
from amortex.metrics import Interval


def as_markdown(
    table: Table,
    columns: Sequence[str] = (),
    unavailable: Collection[str] = (),
    labels: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Rows, by their labels, with intervals in brackets; without `columns` all of them."""
    available = [row for name, row in table.items() if name not in unavailable]
    candidates = columns or list(dict.fromkeys(column for row in available for column in row))
    shown = [column for column in candidates if any(column in row for row in available)]
    lines = ["| method | " + " | ".join(shown) + " |", "|---|" + "---|" * len(shown)]
    for name, row in table.items():
        cells = ["not available" if name in unavailable else cell(row.get(column)) for column in shown]
        lines.append(f"| {labels.get(name, name)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(interval: Interval | None) -> str:
    """The text of a cell.

    >>> cell(Interval(0.5, 0.4, 0.6, images=8)), cell(Interval(12000.0, 11000.0, 13000.0, images=8)), cell(None)
    ('0.500 [0.400, 0.600]', '12,000', '-')
    >>> cell(Interval(4.0, 4.0, 4.0, images=8))  # the same for all
    '4'
    """
    if interval is None or interval.mean != interval.mean:
        return "-"
    if interval.mean >= 100:
        return f"{interval.mean:,.0f}"
    if interval.low == interval.high and interval.images > 1:
        return f"{interval.mean:.3g}"
    return f"{interval.mean:.3f}" if interval.low != interval.low else str(interval)


def as_csv(table: Table) -> str:
    """One line per row and column, with every digit."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(("row", "column", "mean", "low", "high", "images"))
    for name, row in table.items():
        writer.writerows((name, column, *interval) for column, interval in row.items())
    return buffer.getvalue()
