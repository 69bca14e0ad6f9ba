"""The objective of CartoonX's presets against classifier passes, on images, sounds or volumes.

    python -m benchmarks convergence FOLDER --points 8 --presets fast converged --out benchmarks/results
    python -m benchmarks convergence --modality audio --out runs/convergence

Behind docs/results.md, The optimiser, benchmarks/results/convergence.csv and docs/images/convergence.png; the section
`effort` of `train.py compare` measures budgets of passes, but no presets. A forward pass counts 1, forward and
backward 3, per signal and noise draw. `--presets` takes names, with changes after colons: ``converged:steps=4000``. The
few passes that measure the empty mask once per signal are not counted. `--passes` are budgets of the trained explainer
that comes with the classifier, whose curve has the name ``amortized``; an empty `--presets` leaves CartoonX out. J is
the mean over the signals with its 95 % bootstrap interval; `retained` is the share whose mean output keeps the class.
Last come ratios to the last preset. A run that was stopped goes on where its table in `--out` ends.
"""

import argparse
import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from amortex.amortized.checkpoints import file_digest, load_predictor
from amortex.amortized.explainer import Amortized
from amortex.amortized.released import WEIGHTS, released
from amortex.core.errors import InputError
from amortex.core.modalities import MODALITIES
from amortex.core.process import prepare
from amortex.explainers.presets import PRESETS, Preset, preset_of
from amortex.explainers.rde import RDE
from amortex.io.bundled import bundled_folder
from amortex.io.files import write_atomically
from amortex.metrics.base import ImageMean, bootstrap_seeds, bootstrap_weights, ratio_interval
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.problem import Problem
from benchmarks.convergence_plot import plot
from benchmarks.quality import Measured, evaluate, signals

PASSES_PER_STEP_AND_DRAW = 3
Row = dict[str, Any]
Batches = Sequence[EncodedBatch]


def main(options: argparse.Namespace) -> None:
    modality = MODALITIES[options.modality]
    presets = [parse(text, modality.dims) for text in options.presets]
    release = released(modality.classifier)
    if options.passes and release is None:
        raise InputError(f"--passes needs a trained explainer, and none comes with {modality.classifier}: leave it out")
    prepare()
    size = 128 if options.size is None and modality.dims == 2 else options.size
    rd = Problem(modality.classifier, input_size=size).build()
    batches = signals(rd, options.folder or bundled_folder(modality.name), options.images)
    seeds = [seed for encoded in batches for seed in bootstrap_seeds(encoded.image)]
    weights = file_digest((release / WEIGHTS).read_bytes()) if options.passes and release else None
    run = digest(rd.identity(), seeds, options.samples, options.points, weights)
    rows = saved(options.out, run) if options.out else []
    nothing = [encoded.image.new_zeros(len(encoded.image), encoded.layout.k) for encoded in batches]
    empty = evaluated(rd, batches, nothing, options.samples).distortion.mean().item()
    print(f"{options.images} {modality.noun}s, {rd.classifier.name}, empty mask J = {empty:.3f}\n")
    print("| preset | lambda_k | passes | J | distortion | rate | retained |\n|---|---|---|---|---|---|---|")
    for row in rows:
        print_row(row)
    known = {(row["preset"], row["lambda_k"], row["budget"]) for row in rows}

    def add(new: Sequence[Row]) -> None:
        rows.extend({**row, "run": run} for row in new)
        print_row(rows[-1])
        if options.out:
            save(rows, options.out)

    for lambda_k in options.lambda_k:
        for preset in presets:
            if (preset.name, lambda_k, preset.steps) not in known:
                add(curve(rd, batches, seeds, preset, lambda_k, options.points, options.samples))
        for passes in options.passes:
            if ("amortized", lambda_k, passes) not in known:
                add([trained(rd, batches, seeds, lambda_k, passes, options.samples)])
    if presets:
        print_ratios([row for row in rows if row["lambda_k"] in options.lambda_k], presets[-1], seeds)
    if options.out:
        plot(rows, empty).savefig(options.out / "convergence.png")


def digest(*settings: Any) -> str:
    """What tells runs apart whose rows cannot stand in one table."""
    return hashlib.blake2b(repr(settings).encode(), digest_size=6).hexdigest()


def print_row(row: Row) -> None:
    print(f"| {row['preset']} | {row['lambda_k']:g} | {row['passes']} | {row['J']:.4f} "
          f"[{row['J_low']:.4f}, {row['J_high']:.4f}] | {row['distortion']:.4f} | {row['rate']:.4f} | "
          f"{row['retained']:.2f} |", flush=True)  # fmt: skip


def print_ratios(rows: Sequence[Row], preset: Preset, seeds: Sequence[int]) -> None:
    """J at the ends of all curves over that at the end of a preset's, on the same signals in each replicate."""
    weights = torch.stack([bootstrap_weights(seed) for seed in seeds])  # (B, 1 + replicates)
    ends = {(row["preset"], row["lambda_k"], row["budget"]): row for row in rows}  # the last of each
    sums = {
        key: weights.new_tensor([float(j) for j in row["J_per_image"].split()]) @ weights for key, row in ends.items()
    }
    print(f"\n| preset | lambda_k | passes | J over that of {preset.name} |\n|---|---|---|---|")
    for key, row in ends.items():
        reference = sums[preset.name, row["lambda_k"], preset.steps]
        ratio = ratio_interval(sums[key], reference, len(seeds))
        print(f"| {row['preset']} | {row['lambda_k']:g} | {row['passes']} | {ratio} |")


def evaluated(rd: RateDistortion, batches: Batches, masks: Sequence[Tensor], samples: int) -> Measured:
    """What a mask for each signal achieves."""
    parts = [evaluate(rd, encoded, mask, samples) for encoded, mask in zip(batches, masks, strict=True)]
    return Measured(*map(torch.cat, zip(*parts, strict=True)))


def trained(
    rd: RateDistortion, batches: Batches, seeds: Sequence[int], lambda_k: float, passes: int, samples: int
) -> Row:
    """The row of the trained explainer that comes with the classifier, with a budget of classifier passes."""
    predictor = load_predictor(released(rd.classifier.name), rd.classifier, internal_batch_size=64)
    explainer = Amortized(predictor, lambda_k, passes=passes)
    explained = [explainer.explain(encoded.image) for encoded in batches]
    spent = round(torch.cat([explanation.extra["passes"] for explanation in explained]).mean().item())
    measured = evaluated(rd, batches, [explanation.mask for explanation in explained], samples)
    return row_of("amortized", lambda_k, passes, explainer.steps, spent, measured, seeds)


def row_of(
    name: str, lambda_k: float, budget: int, steps: int, passes: int, measured: Measured, seeds: Sequence[int]
) -> Row:
    """A point of a curve: means over the signals, and J of each. The budget tells the curves of one name apart."""
    objective = measured.distortion + lambda_k * measured.rate
    means = ImageMean(["J", *Measured._fields])
    means.update(torch.stack([objective, *measured], 1), seeds)
    intervals = means.compute()
    return {
        "preset": name, "lambda_k": lambda_k, "budget": budget, "steps": steps, "passes": passes,
        **{column: interval.mean for column, interval in intervals.items()},
        "J_low": intervals["J"].low, "J_high": intervals["J"].high,
        "J_per_image": " ".join(f"{value:.4f}" for value in objective.tolist()),
    }  # fmt: skip


def parse(text: str, dims: int) -> Preset:
    """The preset of a text such as ``converged:steps=4000:lr=0.1``, for signals with so many axes.

    Raises:
        InputError: an unknown preset or setting, or no value of its type.
    """
    name, *changes = text.split(":")
    try:
        preset, pairs = preset_of(name, dims), dict(change.split("=") for change in changes)
        return preset.but(**{key: type(getattr(preset, key))(value) for key, value in pairs.items()})
    except (InputError, AttributeError, TypeError, ValueError) as error:
        names = ", ".join(PRESETS)
        raise InputError(f"--presets takes {names}, with changes as in fast:steps=400, not {text}") from error


def curve(
    rd: RateDistortion,
    batches: Batches,
    seeds: Sequence[int],
    preset: Preset,
    lambda_k: float,
    points: int,
    samples: int,
) -> list[Row]:
    """Rows after `points` numbers of steps, each twice the one before, up to the last."""
    marks = sorted({round(preset.steps * 2.0 ** -(points - 1 - index)) for index in range(points)} | {preset.steps})
    snapshots: dict[int, list[Tensor]] = {step: [] for step in marks if step}

    def keep(step: int, mask: Tensor) -> None:
        bar.update()
        if step in snapshots:
            snapshots[step].append(mask.detach().clone())

    name = f"{preset.name}, lambda_k={lambda_k:g}"
    with tqdm(total=preset.steps * len(batches), desc=name, disable=None) as bar:
        for encoded in batches:
            RDE(rd, lambda_k, preset).explain(encoded.image, on_step=keep)
    rows = []
    for step, masks in snapshots.items():
        passes = PASSES_PER_STEP_AND_DRAW * preset.samples * step
        measured = evaluated(rd, batches, masks, samples)
        rows.append(row_of(preset.name, lambda_k, preset.steps, step, passes, measured, seeds))
    return rows


def saved(folder: Path, run: str) -> list[Row]:
    """The rows of ``convergence.csv``, if there is any; raises InputError for those of a run with other settings."""
    path = folder / "convergence.csv"
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        rows: list[Row] = list(csv.DictReader(file))
    if any(row.get("run") != run for row in rows):
        raise InputError(f"{path} is of another run: choose another folder with --out, or delete it")
    types = {"budget": int, "steps": int, "passes": int, "preset": str, "run": str, "J_per_image": str}
    return [{key: types.get(key, float)(value) for key, value in row.items()} for row in rows]


def save(rows: Sequence[Row], folder: Path) -> None:
    """Write ``convergence.csv``, a line for each point of the curves."""
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder / "convergence.csv", text.getvalue().encode())
