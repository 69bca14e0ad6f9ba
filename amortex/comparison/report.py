"""The report of a comparison: ``report.md``, tables as CSV, and plots."""

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from amortex.comparison import plots
from amortex.comparison.config import ComparisonConfig
from amortex.comparison.methods import Method
from amortex.comparison.stopwatch import Stopwatch
from amortex.comparison.tables import Table
from amortex.core.noise_streams import EVALUATION_SEED
from amortex.core.version import __version__
from amortex.explaining.figures import png
from amortex.io.files import write_atomically
from amortex.metrics import Interval
from amortex.metrics.functional import CANNY_OPTIONS
from amortex.rate_distortion.problem import Problem

CURVE_COLUMNS = ("l2_area", "l2_log_area", "l2@0.02", "l2@0.05", "l2@0.1", "l2@0.2", "retained@0.2", "out_l2_area",
                 "best_objective")  # fmt: skip
LONGEST_SECTIONS = 12  # that the report lists


class Heading(NamedTuple):
    """What stands above a table, and the columns that it shows: none means all."""

    title: str
    text: str = ""
    columns: tuple[str, ...] = ()


HEADINGS = {
    "native": Heading(
        "Each method in its own basis",
        "Pixel methods rank pixels, wavelet methods coefficients; `best_objective` is J at each image's best rate.",
        (*CURVE_COLUMNS, "seconds", "passes"),
    ),
    "mapped": Heading(
        "Pixel methods, mapped to wavelet coefficients",
        "The relevance of a coefficient is its magnitude times the mean relevance of the pixels in its support.",
        CURVE_COLUMNS,
    ),
    "leakage": Heading(
        "Class leakage",
        "Probability of the predicted class under its mask, and of another class under the mask that explains that. "
        "Learned steps are for predicted classes: the other class's mask is that of one pass.",
        ("own", "other"),
    ),
    "sanity": Heading(
        "Sanity: the classifier randomised from the output on",
        "Rank correlation with the original within wavelet levels, weights shuffled up to the named layer.",
    ),
    "scales": Heading("Distortion where noise replaces one scale alone", "Scale 0 is the low-pass, 1 the finest."),
    "effort": Heading(
        "The objective for a budget of classifier passes",
        "J at each lambda_k; behind @ the budget per image, in the last column what was used of it.",
    ),
    "grid": Heading(
        "CartoonX's settings, each varied alone",
        "Measured with the obfuscation and distortion of the setting; l2 is common to all.",
        ("rate", "distortion", "l2", "retained"),
    ),
}
MASK_HEADING = Heading(
    "Masks as they are",
    columns=("rate", "distortion", "l2", "objective", "retained", "retention", "cp_pixels", "cp_coefficients",
             "cp_entropy", "hallucination"),
)  # fmt: skip
RANKING_HEADING = Heading(
    "Insertion, deletion, faithfulness, mu-fidelity", columns=("insertion", "deletion", "faithfulness", "mu_fidelity")
)
FURTHER_HEADINGS = {"native": (MASK_HEADING, RANKING_HEADING), "mapped": (RANKING_HEADING,)}
GAP_HEADING = Heading(
    "Amortization gap", "Mean J over that of CartoonX `converged`, images and lambda_k pooled.", ("gap", "median_ratio")
)


@dataclass(frozen=True)
class ComparisonResults:
    """What a comparison found.

    Arguments:
        tables: section -> row -> column -> interval.
        gaps: row of the section ``effort`` -> ``gap`` and ``median_ratio``.
        break_evens: explainer -> images to break even.
        unavailable: section and method -> why it cannot explain this classifier.
        failed: name of an image that was left out -> why.
        pictures: files of the gallery.
    """

    tables: dict[str, Table]
    gaps: Table
    break_evens: dict[str, Interval]
    unavailable: dict[tuple[str, str], str]
    failed: dict[str, str]
    pictures: list[str]

    @property
    def images(self) -> int:
        """How many images were compared."""
        rows = (row for table in self.tables.values() for row in table.values())
        return max((interval.images for row in rows for interval in row.values()), default=0)


def write_report(
    folder: Path,
    results: ComparisonResults,
    problem: Problem,
    config: ComparisonConfig,
    methods: Sequence[Method],
    stopwatch: Stopwatch,
) -> None:
    """Write the report, the tables and the plots into `folder`."""
    for section, table in results.tables.items():
        write_atomically(folder / f"{section}.csv", as_csv(table).encode())
    figures = plots.all_plots(results.tables, {method.name: method.kind for method in methods})
    for name, figure in figures.items():
        write_atomically(folder / f"{name}.png", png(figure))
    parts = [
        "# Comparison of explanations",
        protocol_text(results, problem, config),
        *result_texts(results),
        *(f"![{plots.CAPTIONS[name]}]({name}.png)\n\n*{plots.CAPTIONS[name]}*" for name in figures),
        *(f"![explanations]({path})" for path in results.pictures),
        time_text(stopwatch),
    ]
    write_atomically(folder / "report.md", ("\n\n".join(parts) + "\n").encode())


def result_texts(results: ComparisonResults) -> Iterator[str]:
    """What is missing, all tables, and when training has paid for itself."""
    if results.unavailable:
        reasons = {name: reason for (_, name), reason in results.unavailable.items()}
        yield "## Not available for this classifier"
        yield "\n".join(f"- `{name}`: {reason}" for name, reason in reasons.items())
    if results.failed:
        yield "## Left out"
        yield "\n".join(f"- `{name}`: {reason}" for name, reason in sorted(results.failed.items()))
    for section, table in results.tables.items():
        missing = {name for table_name, name in results.unavailable if table_name == section}
        yield from table_texts("##", HEADINGS[section], table, missing)
        for heading in FURTHER_HEADINGS.get(section, ()):
            yield from table_texts("###", heading, table, missing)
        if section == "effort" and results.gaps:
            yield from table_texts("###", GAP_HEADING, results.gaps)
    for name, images in results.break_evens.items():
        bounds = f"{images.low:,.0f} to {images.high:,.0f}"
        yield f"Training of {name} has paid for itself after {images.mean:,.0f} images ({bounds})."


def table_texts(level: str, heading: Heading, table: Table, unavailable: Collection[str] = ()) -> Iterator[str]:
    """A heading of a level, ``##`` or ``###``, its text, and the table."""
    yield f"{level} {heading.title}"
    if heading.text:
        yield heading.text
    yield as_markdown(table, heading.columns, unavailable)


def protocol_text(results: ComparisonResults, problem: Problem, config: ComparisonConfig) -> str:
    """How everything was measured."""
    all_lambda_k = ", ".join(f"{value:g}" for value in config.lambda_k)
    return f"""{results.images} images, classifier `{problem.classifier}`, {problem.wavelet}, {problem.levels} levels,
{problem.padding} padding, obfuscation {problem.obfuscation}, preset `{config.preset}`, lambda_k {all_lambda_k};
{config.samples} noise draws per mask (seed {EVALUATION_SEED}, the same for all methods and rates),
{config.insertion_steps} steps of insertion and deletion (trapezoid rule, zero baseline), {config.subsets} subsets of
20 % for mu-fidelity (zero baseline). Ties are broken by coefficient energy. Masks of rankings keep their top 5 %;
relevance is the sum over channels of absolute attributions of the class's logit. CP and hallucination are of the mask
as it is (Canny: {CANNY_OPTIONS}). CartoonX steps take two draws. A forward pass counts 1, forward and backward 3. In
brackets 95 % intervals: Poisson bootstrap over images, 1000 replicates. amortex {__version__}."""


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


def as_markdown(table: Table, columns: Sequence[str] = (), unavailable: Collection[str] = ()) -> str:
    """Rows with intervals in brackets; without `columns` all of them."""
    available = [row for name, row in table.items() if name not in unavailable]
    candidates = columns or [column for row in available[:1] for column in row]
    shown = [column for column in candidates if any(column in row for row in available)]
    lines = ["| method | " + " | ".join(shown) + " |", "|---|" + "---|" * len(shown)]
    for name, row in table.items():
        cells = ["not available" if name in unavailable else cell(row.get(column)) for column in shown]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(interval: Interval | None) -> str:
    """The text of a cell.

    >>> cell(Interval(0.5, 0.4, 0.6, images=8)), cell(Interval(12000.0, 11000.0, 13000.0, images=8)), cell(None)
    ('0.500 [0.400, 0.600]', '12,000', '-')
    """
    if interval is None or interval.mean != interval.mean:
        return "-"
    if interval.mean >= 100:
        return f"{interval.mean:,.0f}"
    return f"{interval.mean:.3f}" if interval.low != interval.low else str(interval)


def as_csv(table: Table) -> str:
    """One line per row and column, with every digit."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(("row", "column", "mean", "low", "high", "images"))
    for name, row in table.items():
        writer.writerows((name, column, *interval) for column, interval in row.items())
    return buffer.getvalue()
