"""The objective J against classifier passes for CartoonX's presets, on photographs of a folder.

    python benchmarks/convergence.py FOLDER --images 8 --out benchmarks/results

A forward and backward counts 3 passes, per image and noise draw. `--presets` takes names, with changes after
colons: ``converged:steps=4000``. The few passes that measure the empty mask once per image are not counted.
"""

import csv
from pathlib import Path
from typing import Any

import torch
from common import arguments, default_problem, measure
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from tqdm import tqdm

from amortex.explainers.presets import PRESETS, Preset
from amortex.explainers.rde import RDE
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion

PASSES_PER_STEP_AND_DRAW = 3


def parse(text: str) -> Preset:
    name, *changes = text.split(":")
    pairs = (change.split("=") for change in changes)
    return PRESETS[name].but(**{key: type(getattr(PRESETS[name], key))(value) for key, value in pairs})


def curve(
    rd: RateDistortion, encoded: EncodedBatch, preset: Preset, lambda_k: float, points: int, samples: int
) -> list[dict[str, Any]]:
    """Rows of J, distortion and rate: at the start, at `points` steps on the way, and at the end."""
    marks = sorted({round(preset.steps * 2.0 ** -(points - 1 - i)) for i in range(points)} | {preset.steps})
    snapshots: dict[int, torch.Tensor] = {}

    def keep(step: int, mask: torch.Tensor) -> None:
        bar.update()
        if step in marks:
            snapshots[step] = mask.detach().clone()

    with tqdm(total=preset.steps, desc=f"{preset.name}, lambda_k={lambda_k:g}", disable=None) as bar:
        RDE(rd, lambda_k, preset).explain(encoded.image, on_step=keep)
    rows = []
    for step, mask in snapshots.items():
        distortion, rate = measure(rd, encoded, mask, samples)
        rows.append({
            "preset": preset.name, "lambda_k": lambda_k, "steps": step,
            "passes": PASSES_PER_STEP_AND_DRAW * preset.samples * step,
            "J": (distortion + lambda_k * rate).mean().item(),
            "distortion": distortion.mean().item(), "rate": rate.mean().item(),
            "J_per_image": " ".join(f"{value:.4f}" for value in (distortion + lambda_k * rate).tolist()),
        })  # fmt: skip
    return rows


def plot(rows: list[dict[str, Any]], empty: float, file: Path) -> None:
    lambdas = sorted({row["lambda_k"] for row in rows})
    figure = Figure(figsize=(4.2 * len(lambdas), 3.4), dpi=150, layout="constrained")
    axes = figure.subplots(1, len(lambdas), squeeze=False)[0]
    names = list(dict.fromkeys(row["preset"] for row in rows))
    colours, markers, lines = ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), "os^v", ("-", "--", "-.", ":")
    styles = {name: (colours[i % 4], markers[i % 4], lines[i % 4]) for i, name in enumerate(names)}
    for axis, lambda_k in zip(axes, lambdas, strict=True):
        for name in names:
            own = [row for row in rows if row["preset"] == name and row["lambda_k"] == lambda_k]
            colour, marker, line = styles[name]
            axis.plot([row["passes"] for row in own], [row["J"] for row in own], line, color=colour, marker=marker,
                      ms=4, label=name)  # fmt: skip
        axis.axhline(empty, color="#777777", lw=1, ls=":", label="empty mask")
        axis.set(xscale="log", yscale="log", xlabel="classifier passes per image", ylabel="J = D + $\\lambda k$ R")
        axis.set_title(f"$\\lambda k$ = {lambda_k:g}", fontsize=10)
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.25)
    axes[0].legend(fontsize=8, frameon=False)
    figure.savefig(file)


def save(rows: list[dict[str, Any]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "convergence.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = arguments(__doc__, images=8)
    parser.add_argument("--presets", nargs="+", default=["fast", "converged", "converged:steps=4000"])
    parser.add_argument("--lambda-k", type=float, nargs="+", default=[2.5, 10.0])
    parser.add_argument("--points", type=int, default=6, help="points on each curve")
    parser.add_argument("--evaluation-samples", type=int, default=64)
    options = parser.parse_args()
    rd, encoded = default_problem(options)
    empty = measure(rd, encoded, encoded.image.new_zeros(len(encoded.image), encoded.layout.k))[0].mean().item()
    print(f"{options.images} photographs, {options.size} px, empty mask J = {empty:.3f}\n")
    print("| preset | lambda_k | passes | J | distortion | rate |\n|---|---|---|---|---|---|", flush=True)
    rows = []
    for text in options.presets:
        for lambda_k in options.lambda_k:
            rows += curve(rd, encoded, parse(text), lambda_k, options.points, options.evaluation_samples)
            row = rows[-1]
            print(f"| {row['preset']} | {lambda_k:g} | {row['passes']} | {row['J']:.4f} | {row['distortion']:.4f} | "
                  f"{row['rate']:.4f} |", flush=True)  # fmt: skip
            if options.out:
                save(rows, options.out)
    if options.out:
        plot(rows, empty, options.out / "convergence.png")


if __name__ == "__main__":
    main()
