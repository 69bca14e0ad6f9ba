"""The objective of CartoonX's presets against classifier passes, on photographs of a folder.

    python -m benchmarks convergence FOLDER --points 8 --presets fast converged --out benchmarks/results

Behind docs/results.md, The optimiser, benchmarks/results/convergence.csv and docs/images/convergence.png; the section
`effort` of `train.py compare` measures budgets of passes, but no presets. A forward pass counts 1, forward and
backward 3, per image and noise draw. `--presets` takes names, with changes after colons: ``converged:steps=4000``. The
few passes that measure the empty mask once per image are not counted. `--passes` are budgets of the bundled explainer,
whose curve has the name ``amortized``; an empty `--presets` leaves CartoonX out.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor
from tqdm import tqdm

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.amortized.released import released
from amortex.classifiers.default import DEFAULT_CLASSIFIER
from amortex.core.errors import InputError
from amortex.explainers.presets import PRESETS, Preset
from amortex.explainers.rde import RDE
from amortex.explaining.figures import COLOURS
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from benchmarks.quality import default_problem, evaluate

PASSES_PER_STEP_AND_DRAW = 3
Row = dict[str, Any]


def main(options: argparse.Namespace) -> None:
    presets = [parse(text) for text in options.presets]
    rd, encoded = default_problem(options)
    nothing = encoded.image.new_zeros(len(encoded.image), encoded.layout.k)
    empty = evaluate(rd, encoded, nothing, options.samples)[0].mean().item()
    print(f"{options.images} photographs, {options.size} px, empty mask J = {empty:.3f}\n")
    print("| preset | lambda_k | passes | J | distortion | rate |\n|---|---|---|---|---|---|", flush=True)
    rows: list[Row] = []
    predictor = load_predictor(released(DEFAULT_CLASSIFIER), input_size=options.size, internal_batch_size=64)
    for lambda_k in options.lambda_k:
        for preset in presets:
            rows += curve(rd, encoded, preset, lambda_k, options.points, options.samples)
            report(rows, options.out)
        for passes in options.passes:
            rows.append(bundled(predictor, encoded, lambda_k, passes, options.samples))
            report(rows, options.out)
    if options.out:
        plot(rows, empty).savefig(options.out / "convergence.png")


def report(rows: Sequence[Row], out: Path | None) -> None:
    """Print the last row, and save all."""
    row = rows[-1]
    print(f"| {row['preset']} | {row['lambda_k']:g} | {row['passes']} | {row['J']:.4f} | {row['distortion']:.4f} | "
          f"{row['rate']:.4f} |", flush=True)  # fmt: skip
    if out:
        save(rows, out)


def bundled(predictor: MaskPredictor, encoded: EncodedBatch, lambda_k: float, passes: int, samples: int) -> Row:
    """The row of the bundled explainer with a budget of classifier passes."""
    explainer = Amortized(predictor, lambda_k, passes=passes)
    explanation = explainer.explain(encoded.image)
    spent = round(explanation.extra["passes"].mean().item())
    measured = evaluate(predictor.rate_distortion, encoded, explanation.mask, samples)
    return row_of("amortized", lambda_k, explainer.steps, spent, *measured)


def row_of(name: str, lambda_k: float, steps: int, passes: int, distortion: Tensor, rate: Tensor) -> Row:
    """A point of a curve, from distortions and rates ``(B,)``."""
    objective = distortion + lambda_k * rate
    return {
        "preset": name, "lambda_k": lambda_k, "steps": steps, "passes": passes,
        "J": objective.mean().item(), "distortion": distortion.mean().item(), "rate": rate.mean().item(),
        "J_per_image": " ".join(f"{value:.4f}" for value in objective.tolist()),
    }  # fmt: skip


def parse(text: str) -> Preset:
    """The preset of a text such as ``converged:steps=4000:lr=0.1``.

    Raises:
        InputError: an unknown preset or setting, or no value of its type.
    """
    name, *changes = text.split(":")
    try:
        preset, pairs = PRESETS[name], dict(change.split("=") for change in changes)
        return preset.but(**{key: type(getattr(preset, key))(value) for key, value in pairs.items()})
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        names = ", ".join(PRESETS)
        raise InputError(f"--presets takes {names}, with changes as in fast:steps=400, not {text}") from error


def curve(
    rd: RateDistortion, encoded: EncodedBatch, preset: Preset, lambda_k: float, points: int, samples: int
) -> list[Row]:
    """Rows of J, distortion and rate after `points` numbers of steps, each twice the one before, up to the last."""
    marks = {round(preset.steps * 2.0 ** -(points - 1 - index)) for index in range(points)} | {preset.steps}
    snapshots: dict[int, Tensor] = {}

    def keep(step: int, mask: Tensor) -> None:
        bar.update()
        if step in marks:
            snapshots[step] = mask.detach().clone()

    with tqdm(total=preset.steps, desc=f"{preset.name}, lambda_k={lambda_k:g}", disable=None) as bar:
        RDE(rd, lambda_k, preset).explain(encoded.image, on_step=keep)
    rows = []
    for step, mask in snapshots.items():
        passes = PASSES_PER_STEP_AND_DRAW * preset.samples * step
        rows.append(row_of(preset.name, lambda_k, step, passes, *evaluate(rd, encoded, mask, samples)))
    return rows


def save(rows: Sequence[Row], folder: Path) -> None:
    """Write ``convergence.csv``, a line for each point of the curves."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "convergence.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


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


def draw(axis: Axes, rows: Sequence[Row], empty: float) -> None:
    """A line per preset."""
    for index, name in enumerate(dict.fromkeys(row["preset"] for row in rows)):
        passes, objective = zip(*((row["passes"], row["J"]) for row in rows if row["preset"] == name), strict=True)
        colour, marker, line = COLOURS[index % len(COLOURS)], "os^v"[index % 4], ("-", "--", "-.", ":")[index % 4]
        axis.plot(passes, objective, line, color=colour, marker=marker, ms=4, label=name)
    axis.axhline(empty, color="#777777", lw=1, ls=":", label="empty mask")
    axis.set(xscale="log", yscale="log", xlabel="classifier passes per image", ylabel="J = D + $\\lambda k$ R")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.grid(alpha=0.25)
