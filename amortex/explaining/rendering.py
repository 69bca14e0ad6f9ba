"""Results as lines of text."""

from collections.abc import Sequence
from textwrap import wrap

from amortex.core.errors import escape
from amortex.explaining.rows import Row
from amortex.rate_distortion.certificate import caution, measured

CAUTION_WIDTH = 120  # characters of a line that fit above a panel


def summary_line(label: str, row: Row) -> str:
    """One input in one line: class, rate, and what is measured."""
    certified = "not measured yet: certificate()"
    if "distortion" in row:
        certified = f"distortion ({row['distortion_name']}) {measured(row)}"
    return (
        f"{label}: {escape(row['class_name'])} {row['probability']:.1%}, rate {row['rate']:.2%}, {certified}, "
        f"{row['seconds']:.3g} s{caution(row)}"
    )


def title_lines(row: Row, extra: Sequence[str] = ()) -> list[str]:
    """The lines above a panel: class, method, certificate and its caveats; `extra` are further keys of the row."""
    method = row["method"] + (f", {row['preset']}" if row["preset"] else "")
    if row["lambda_k"] != "":
        method += f", $\\lambda k$ = {row['lambda_k']:g}"
    if row["alpha"] is not None:
        method += f", $\\alpha$ = {row['alpha']:g}"
    method += f"    rate {row['rate']:.2%}"
    for key in extra:
        if key == "passes":
            method += f"    {row[key]:.0f} pass{'' if row[key] == 1 else 'es'}"
        else:
            method += f"    {key} {row[key]:.2%}"
    lines = [f"{row['class_name']}  ({row['probability']:.1%})", method]
    if "distortion" in row:
        name = "distortion" if row["distortion_name"] == "label_l2" else f"distortion ({row['distortion_name']})"
        lines.append(f"{name} {measured(row)}; obfuscation {row['obfuscation']}")
    if row.get("caveats"):
        lines += wrap(f"caution: {row['caveats']}", CAUTION_WIDTH)
    return lines
