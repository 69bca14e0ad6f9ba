"""The report of a comparison: ``report.md``, tables as CSV, and plots."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amortex.comparison import figures
from amortex.comparison.bench import Method
from amortex.comparison.figures import Table
from amortex.comparison.stopwatch import Stopwatch
from amortex.core.noise_streams import EVALUATION_SEED
from amortex.core.version import __version__
from amortex.explaining.plots import png
from amortex.io.files import write_atomically
from amortex.metrics import Interval
from amortex.metrics.functional import CANNY

TABLES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "native": (
        "Each method in its own basis",
        "Pixel methods rank pixels, wavelet methods coefficients, as in the CartoonX paper.",
        ("l2_area", "l2_log_area", "l2@0.02", "l2@0.05", "l2@0.1", "l2@0.2", "retained@0.2", "out_l2_area", "seconds",
         "passes"),
    ),
    "mapped": (
        "Pixel methods, mapped to wavelet coefficients",
        "The relevance of a coefficient is its magnitude times the mean relevance of the pixels in its support.",
        ("l2_area", "l2_log_area", "l2@0.02", "l2@0.05", "l2@0.1", "l2@0.2", "retained@0.2", "out_l2_area"),
    ),
    "leakage": (
        "Class leakage",
        "Probability of the predicted class under its mask, and of another class under the mask that explains that. "
        "Learned steps are for predicted classes: the other class's mask is that of one pass.",
        ("own", "other"),
    ),
    "sanity": (
        "Sanity: the classifier randomised from the output on",
        "Rank correlation with the original within wavelet levels, weights shuffled up to the named layer.",
        (),
    ),
    "scales": ("Distortion where noise replaces one scale alone", "Scale 0 is the low-pass, 1 the finest.", ()),
    "effort": (
        "The objective for a budget of classifier passes",
        "J at each lambda_k; behind @ the budget per image, in the last column what was used of it.",
        (),
    ),
    "grid": ("CartoonX's settings, each varied alone",
             "Measured with the obfuscation and distortion of the setting; l2 is common to all.",
             ("rate", "distortion", "l2", "retained")),
}  # fmt: skip
MORE = {
    "masks": ("Masks as they are", ("rate", "distortion", "l2", "objective", "retained", "cp_pixels",
                                    "cp_coefficients", "cp_entropy", "hallucination")),
    "wam": ("Insertion, deletion, faithfulness, mu-fidelity", ("insertion", "deletion", "faithfulness", "mu_fidelity")),
}  # fmt: skip


@dataclass(frozen=True)
class Findings:
    """What a comparison found.

    Arguments:
        tables: section -> row -> column -> interval.
        gaps: row of the section ``effort`` -> ``gap`` and ``median_ratio``.
        breaks: explainer -> images to break even.
        unavailable: section and method -> why it cannot explain this classifier.
        failed: images whose class is not finite.
        pictures: files of the gallery.
    """

    tables: dict[str, Table]
    gaps: Table
    breaks: dict[str, Interval]
    unavailable: dict[tuple[str, str], str]
    failed: list[str]
    pictures: list[str]


def write_report(
    folder: Path, findings: Findings, settings: dict[str, Any], methods: Sequence[Method], watch: Stopwatch
) -> None:
    """Write everything into `folder`."""
    for section, table in findings.tables.items():
        write_atomically(folder / f"{section}.csv", as_csv(table).encode())
    drawn = figures.draw(findings.tables, {method.name: method.kind for method in methods})
    for name, figure in drawn.items():
        write_atomically(folder / f"{name}.png", png(figure))
    text = "\n\n".join(_parts(findings, settings, watch, list(drawn))) + "\n"
    write_atomically(folder / "report.md", text.encode())


def _parts(f: Findings, settings: dict[str, Any], watch: Stopwatch, plots: list[str]) -> list[str]:
    parts = ["# Comparison of explanations", _protocol(f, settings)]
    if f.unavailable:
        reasons = {name: reason for (_, name), reason in f.unavailable.items()}
        lines = [f"- `{name}`: {reason}" for name, reason in reasons.items()]
        parts += ["## Not available for this classifier", "\n".join(lines)]
    if f.failed:
        parts += ["## Left out", "The classifier's output is not finite on: " + ", ".join(f.failed)]
    for section, table in f.tables.items():
        title, words, columns = TABLES[section]
        missing = {name for other, name in f.unavailable if other == section}
        parts += [f"## {title}", words, as_markdown(table, columns, missing)]
        if section in ("native", "mapped"):
            for key, (heading, shown) in MORE.items():
                if section == "native" or key == "wam":
                    parts += [f"### {heading}", as_markdown(table, shown, missing)]
        if section == "effort" and f.gaps:
            parts += ["### Amortization gap", "Mean J over that of CartoonX `converged`, images and lambda_k pooled.",
                       as_markdown(f.gaps, ("gap", "median_ratio"), set())]  # fmt: skip
    for name, interval in f.breaks.items():
        bounds = f"{interval.low:,.0f} to {interval.high:,.0f}"
        parts.append(f"Training of {name} has paid for itself after {interval.mean:,.0f} images ({bounds}).")
    parts += [f"![{figures.CAPTIONS[name]}]({name}.png)\n\n*{figures.CAPTIONS[name]}*" for name in plots]
    parts += [f"![explanations]({path})" for path in f.pictures]
    return [*parts, _time(watch)]


def _protocol(f: Findings, h: dict[str, Any]) -> str:
    images = max((i.images for table in f.tables.values() for row in table.values() for i in row.values()), default=0)
    lambdas = ", ".join(f"{value:g}" for value in h["lambda_k"])
    return f"""{images} images, classifier `{h["classifier"]}`, {h["wavelet"]}, {h["levels"]} levels, {h["padding"]}
padding, obfuscation {h["obfuscation"]}, preset `{h["preset"]}`, lambda_k {lambdas}; {h["samples"]} noise draws per mask
(seed {EVALUATION_SEED}, the same for all methods and rates), {h["insertion_steps"]} steps of insertion and deletion
(trapezoid rule, zero baseline), {h["subsets"]} subsets of 20 % for mu-fidelity (zero baseline). Ties are broken by
coefficient energy. Masks of rankings keep their top 5 %; relevance is the sum over channels of absolute attributions of
the class's logit. CP and hallucination are of the mask as it is (Canny: {CANNY}). Refinement steps take two draws. A
forward pass counts 1, forward and backward 3. In brackets 95 % intervals: Poisson bootstrap over images, 1000
replicates. amortex {__version__}."""


def _time(watch: Stopwatch) -> str:
    total = sum(watch.sections.values())
    if not total:
        return "## Time\n\nEverything came from the cache."
    longest = sorted(watch.sections.items(), key=lambda item: -item[1])[:12]
    lines = [f"| {name} | {seconds:.0f} | {seconds / total:.0%} |" for name, seconds in longest]
    share = f", {watch.seconds / total:.0%} of it in classifier passes" if watch.seconds else ""
    head = f"{total:.0f} s on the first device{share} ({watch.passes:,} passes; what came from the cache took none)."
    return "\n".join(["## Time", "", head, "", "| where | seconds | share |", "|---|---|---|", *lines])


def as_markdown(table: Table, columns: Sequence[str], unavailable: set[str]) -> str:
    """Rows with intervals in brackets; without `columns` all of them."""
    known = [row for name, row in table.items() if name not in unavailable]
    shown = [c for c in columns or (known[0] if known else {}) if any(c in row for row in known)]
    lines = ["| method | " + " | ".join(shown) + " |", "|---|" + "---|" * len(shown)]
    for name, row in table.items():
        cells = ["not available" if name in unavailable else cell(row.get(column)) for column in shown]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(interval: Interval | None) -> str:
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
