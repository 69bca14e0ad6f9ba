"""The report of a comparison: ``report.md`` and ``report.html``, tables as CSV, and plots."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amortex.comparison import plots
from amortex.comparison.config import ComparisonConfig
from amortex.comparison.context import Context
from amortex.comparison.formats import as_csv, as_markdown, cell
from amortex.comparison.headings import FURTHER_HEADINGS, GAP_HEADING, HEADINGS, Heading
from amortex.comparison.leaders import Leader
from amortex.comparison.mistakes import Findings, mistake_texts, mistakes_csv
from amortex.comparison.page import as_page
from amortex.comparison.protocol_text import protocol_text
from amortex.comparison.stopwatch import Stopwatch
from amortex.comparison.tables import Table
from amortex.explaining.figures import pdf, png
from amortex.io.files import write_atomically
from amortex.metrics import Interval

LONGEST_SECTIONS = 12  # that the report lists


@dataclass(frozen=True)
class ComparisonResults:
    """What a comparison found.

    Arguments:
        tables: section -> row -> column -> interval.
        gaps: row of the section ``effort`` -> ``gap`` and ``median_ratio``.
        break_evens: explainer -> images to break even.
        unavailable: section and method -> why it cannot explain this classifier.
        failed: name of an image that was left out -> why.
        gallery: paragraphs about single images.
        leaders: the best rows.
        mistakes: what each process found of misclassified ones; none without the section.
    """

    tables: dict[str, Table]
    gaps: Table
    break_evens: dict[str, Interval]
    unavailable: dict[tuple[str, str], str]
    failed: dict[str, str]
    gallery: list[str]
    leaders: Sequence[Leader] = ()
    mistakes: Sequence[Findings] = ()

    @property
    def images(self) -> int:
        """How many images were compared."""
        rows = (row for table in self.tables.values() for row in table.values())
        measured = max((interval.images for row in rows for interval in row.values()), default=0)
        return max(measured, sum(part.labelled for part in self.mistakes))


def write_report(folder: Path, results: ComparisonResults, context: Context, stopwatch: Stopwatch) -> None:
    """Write the report, the tables and the plots into `folder`."""
    for section, table in results.tables.items():
        write_atomically(folder / f"{section}.csv", as_csv(table).encode())
    if results.mistakes:
        write_atomically(folder / "mistakes.csv", mistakes_csv(results.mistakes))
    figures = plots.all_plots(results.tables, context.shown, context.scales)
    for name, figure in figures.items():
        write_atomically(folder / f"{name}.png", png(figure))
        write_atomically(folder / f"{name}.pdf", pdf(figure))
    further = [name for name in figures if plots.is_further(name)]
    parts = [
        "# Comparison of explanations",
        protocol_text(results.images, context),
        *leader_texts(results.leaders, labels_of(context), context.noun),
        *variant_texts(context.config),
        *result_texts(results, context),
        *(figure_text(name) for name in figures if name not in further),
        *(mistake_texts(results.mistakes, labels_of(context), context.noun) if results.mistakes else []),
        *(["## Gallery"] if results.gallery else []),
        *results.gallery,
        *(["## Further rows of the plots"] if further else []),
        *map(figure_text, further),
        time_text(stopwatch),
    ]
    text = "\n\n".join(parts) + "\n"
    write_atomically(folder / "report.md", text.encode())
    write_atomically(folder / "report.html", as_page(text).encode())


def labels_of(context: Context) -> dict[str, str]:
    """Row -> what people read."""
    return {name: shown.label for name, shown in context.shown.items()}


def leader_texts(found: Sequence[Leader], labels: Mapping[str, str], noun: str) -> Iterator[str]:
    """The best row by each measure, and which others are as good for all that can be told."""
    if not found:
        return
    yield "## In short"
    yield (
        f"As good are rows that these {noun}s cannot tell from the best one, by differences {noun} by {noun}: with a "
        f"probability of about 95 % no row is left out by chance. Rows without a value for some {noun}s do not count. "
        "Rates are of each method's own entries, be they pixels or coefficients. The best of many rows looks a "
        "little better than it is. What is measured is explained below."
    )
    lines = ["| measure | best | as good |", "|---|---|---|"]
    for leader in found:
        name, *others = (labels.get(row, row) for row in (leader.row, *leader.equals))
        end = "highest" if leader.highest else "lowest"
        lines.append(f"| {leader.measure} ({end}) | {name}: {cell(leader.value)} | {'; '.join(others) or 'none'} |")
    yield "\n".join(lines)


def figure_text(name: str) -> str:
    """A plot with its caption, and its file for print."""
    caption = plots.caption(name)
    return f"![{caption}]({name}.png)\n\n*{caption}* ([PDF]({name}.pdf))"


def result_texts(results: ComparisonResults, context: Context) -> Iterator[str]:
    """What is missing, all tables, and when training has paid for itself."""
    labels = labels_of(context)
    reasons = {labels.get(name, name): reason for (_, name), reason in results.unavailable.items()}
    conciseness = "native" in results.tables and "conciseness" in context.config.metrics
    if conciseness and context.modality.dims != 2:
        reasons["hallucination"] = f"it counts the edges of pictures, and {context.noun}s have none"
    if reasons:
        yield "## Not available for this classifier"
        yield "\n".join(f"- {name}: {reason}" for name, reason in reasons.items())
    if results.failed:
        yield "## Left out"
        yield "\n".join(f"- `{name}`: {reason}" for name, reason in sorted(results.failed.items()))
    for section, table in results.tables.items():
        missing = {name for table_name, name in results.unavailable if table_name == section}
        yield from table_texts("##", HEADINGS[section].at(context.config.rates), table, labels, missing)
        for heading in FURTHER_HEADINGS.get(section, ()):
            yield from table_texts("###", heading, table, labels, missing)
        if section == "effort" and results.gaps:
            yield from table_texts("###", GAP_HEADING, results.gaps, labels)
    for name, images in results.break_evens.items():
        bounds = f"{images.low:,.0f} to {images.high:,.0f}"
        yield f"Training of {name} has paid for itself after {images.mean:,.0f} {context.noun}s ({bounds})."


def table_texts(
    level: str, heading: Heading, table: Table, labels: Mapping[str, str], unavailable: Collection[str] = ()
) -> Iterator[str]:
    """A heading of a level, ``##`` or ``###``, its text, and the table; no further table without a column."""
    columns = {column for row in table.values() for column in row}
    empty = bool(columns and heading.columns) and columns.isdisjoint(heading.columns)
    if empty and level == "###":
        return
    yield f"{level} {heading.title}"
    if heading.text:
        yield heading.text
    if not empty:
        yield as_markdown(table, heading.columns, unavailable, labels)


def variant_texts(config: ComparisonConfig) -> Iterator[str]:
    """The settings of the rows that have some of their own."""
    if config.variants:
        yield "Rows with settings of their own:"
        yield "\n".join(f"- {label}: `{json.dumps(settings)}`" for label, settings in config.variants.items())


def time_text(stopwatch: Stopwatch) -> str:
    """Where the time went."""
    if not stopwatch.seconds:
        return "## Time\n\nEverything came from the cache."
    counter, total = stopwatch.counter, stopwatch.seconds
    longest = sorted(stopwatch.sections.items(), key=lambda item: -item[1])[:LONGEST_SECTIONS]
    rows = [f"| {name} | {seconds:.0f} | {seconds / total:.0%} |" for name, seconds in longest]
    share = f", {counter.seconds / total:.0%} of it in classifier passes" if counter.seconds else ""
    text = f"{total:.0f} s on the first device{share} ({counter.total:,} passes; what came from the cache took none)."
    return "\n".join(["## Time", "", text, "", "| where | seconds | share |", "|---|---|---|", *rows])
