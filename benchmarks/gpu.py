"""Everything that a performance table needs from one GPU, and then a stage of training, in one command.

    python -m benchmarks gpu --train photos.tar --out runs/gpu
    python -m benchmarks gpu --device cpu --quick --out runs/gpu      # the same code, small, where there is no card

It prints a table, and writes it to `--out` as gpu.json after each figure: images per second of training, of the bundled
explainer and of CartoonX; how much of a training step's kernels is the classifier's; the peak memory; and how far
distortions of the same masks under the same draws lie from those of the CPU, which must be below the tolerance: the
exit status is 1 if they are not. `--minutes` bounds all of it. What is left of them trains the bundled explainer, or
`--start`, by configs/experiment/release.yaml on `--train` (a folder, or a tar file of `train.py pack`) in bf16-mixed,
until `--steps` are done; the same command goes on from the checkpoint in `--out`. Without a card the command says so,
and ends with status 2.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.amortized.released import released
from amortex.classifiers.default import DEFAULT_CLASSIFIER
from amortex.core.errors import InputError
from amortex.core.masks import energy, top_share
from amortex.core.noise_streams import NoiseStreams
from amortex.core.process import prepare
from amortex.explainers.presets import PRESETS
from amortex.explainers.rde import RDE
from amortex.io.files import write_atomically
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.problem import Problem
from amortex.training.config import ObjectiveConfig
from amortex.training.module import AmortizedTrainingModule
from benchmarks.processes import ROOT, script
from benchmarks.timing import Work, images, seconds, training_passes
from benchmarks.training import Loss, training_step

TOLERANCE = 2e-3  # of distortions, which are between 0 and 1: convolutions on a GPU may round to TF32
RATES = (0.02, 0.1, 0.5)  # of the masks that are compared with the CPU
DRAWS = 8
FEWEST_TRAINING_SECONDS = 20.0
CHECKPOINT = "checkpoints/last.ckpt"


class Table:
    """Figures by name: printed, and in a file that is whole after each."""

    def __init__(self, file: Path, header: dict[str, object]) -> None:
        self.file, self.rows = file, dict(header)
        print("".join(f"{name}: {value}\n" for name, value in header.items()) + "\n| figure | value |\n|---|---|")

    def add(self, name: str, value: float, digits: str = ".4g") -> None:
        self.rows[name] = value
        print(f"| {name} | {value:{digits}} |", flush=True)
        write_atomically(self.file, json.dumps(self.rows, indent=2).encode())


def main(options: argparse.Namespace) -> int:
    start = time.perf_counter()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no CUDA device here: --device cpu --quick runs the same code small")
    prepare()
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    size, batch = (64, 2) if options.quick else (options.size, options.batch)
    header = {"device": name, "torch": torch.__version__, "pixels": size, "batch": batch}
    table = Table(options.out / "gpu.json", header)
    measure_training(table, device, size, batch, options.repeats)
    predictor = load_predictor(released(DEFAULT_CLASSIFIER), input_size=size, internal_batch_size=batch).to(device)
    measure_explaining(table, predictor, images(batch, size).to(device), options)
    difference = largest_difference(size, device)
    table.add("largest difference of D from the CPU's", difference, ".1e")
    table.add("peak memory (GiB)", peak_memory(device))
    left = 60 * options.minutes - (time.perf_counter() - start)
    if options.train and left >= FEWEST_TRAINING_SECONDS:
        table.add("steps trained so far", train(options, size, batch, left))
    if difference > TOLERANCE:
        print(f"distortions differ from the CPU's by more than {TOLERANCE:g}", file=sys.stderr)
        return 1
    return 0


def measure_training(table: Table, device: torch.device, size: int, batch: int, repeats: int) -> None:
    """Images per second of training steps in float32 and under bf16 autocast, and the classifier's share of kernels."""
    problem = Problem(DEFAULT_CLASSIFIER, input_size=size, internal_batch_size=batch)
    module = AmortizedTrainingModule(problem).to(device)
    inputs = images(batch, size).to(device)
    step = training_step(module, Loss(module), inputs)
    informed = module.predictor.config.gradient
    model = module.predictor.rate_distortion.classifier.model
    bare = training_passes(model, inputs, ObjectiveConfig().masks, informed)
    for precision, dtype in (("float32", torch.float32), ("bf16-mixed", torch.bfloat16)):

        def under(work: Work, dtype: torch.dtype = dtype) -> None:
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                work()

        table.add(f"training, {precision} (images/s)", batch / median_seconds(partial(under, step), device, repeats))
        share = kernel_seconds(partial(under, bare), device) / kernel_seconds(partial(under, step), device)
        table.add(f"training, {precision}: share of the classifier's passes in all kernels", share)


def measure_explaining(table: Table, predictor: MaskPredictor, inputs: Tensor, options: argparse.Namespace) -> None:
    """Images per second of the bundled explainer at two budgets of passes, and of CartoonX."""
    device, count = inputs.device, len(inputs)
    budgets = {"one pass": Amortized(predictor, learned_steps=0), "64 passes": Amortized(predictor, passes=64)}
    for name, explainer in budgets.items():
        taken = median_seconds(partial(explainer.explain, inputs), device, options.repeats)
        table.add(f"amortized, {name} (images/s)", count / taken)
    steps = PRESETS["converged"].steps
    timed = 2 if options.quick else 20
    few, many = (RDE(predictor.rate_distortion, preset=PRESETS["converged"].but(steps=n)) for n in (1, 1 + timed))
    first, whole = (median_seconds(partial(explainer.explain, inputs), device, 1) for explainer in (few, many))
    table.add("CartoonX, one step (ms)", 1e3 * (whole - first) / timed)
    table.add(
        f"CartoonX, converged, from {timed} of its {steps} steps (images/s)", count * timed / steps / (whole - first)
    )


def median_seconds(work: Work, device: torch.device, repeats: int) -> float:
    """Median seconds of the work, after once to warm up, until the device is done."""

    def whole() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    whole()
    return statistics.median(seconds(whole) for _ in range(repeats))


def kernel_seconds(work: Work, device: torch.device) -> float:
    """Seconds that the kernels of the work take on the device."""
    activity = ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity]) as recorded:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    column = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    return sum(float(getattr(event, column)) for event in recorded.key_averages()) / 1e6


def largest_difference(size: int, device: torch.device) -> float:
    """Between distortions on the CPU and on the device, of the same masks of random images under the same draws."""
    pixels = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    rd = Problem(DEFAULT_CLASSIFIER, input_size=size).build()
    encoded = rd.encode(pixels)
    noise = rd.noise(encoded, NoiseStreams.evaluation(pixels), slice(None), DRAWS)
    masks = [top_share(energy(encoded.coefficients), rate) for rate in RATES]
    there = None if noise is None else tuple(part.to(device) for part in noise)
    here = torch.stack([distortions(rd, pixels, mask, noise) for mask in masks])
    rd = rd.to(device)
    moved = torch.stack([distortions(rd, pixels.to(device), mask.to(device), there) for mask in masks])
    return float((here - moved.cpu()).abs().max())


@torch.no_grad()
def distortions(rd: RateDistortion, pixels: Tensor, mask: Tensor, noise: tuple[Tensor, ...] | None) -> Tensor:
    """``(B, L)``, under given draws."""
    encoded = rd.encode(pixels)
    return rd.distortions(encoded, rd.outputs(encoded, mask, noise))


def peak_memory(device: torch.device) -> float:
    """GiB: of the device, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def train(options: argparse.Namespace, size: int, batch: int, seconds_left: float) -> int:
    """Train for the time that is left, in a process of its own; the number of steps so far."""
    checkpoint = options.out / CHECKPOINT
    on_gpu = torch.device(options.device).type == "cuda"
    last = {"class_path": "amortex.training.callbacks.LastCheckpoint", "init_args": {"dirpath": str(checkpoint.parent)}}
    settings = {
        "config": [ROOT / "configs/base.yaml", ROOT / "configs/experiment/release.yaml"],
        "model.start": options.start or released(DEFAULT_CLASSIFIER), "data.train": options.train,
        "data.batch_size": batch, "data.workers": 0 if options.quick else 8,
        "data.val_images": 2 if options.quick else 64, "model.problem.input_size": size, "trainer.devices": 1,
        "trainer.accelerator": "gpu" if on_gpu else "cpu", "trainer.precision": "bf16-mixed" if on_gpu else "32-true",
        "trainer.max_steps": 1 if options.quick else options.steps,
        "trainer.val_check_interval": 1 if options.quick else 200,
        "trainer.max_time": time.strftime("00:%H:%M:%S", time.gmtime(seconds_left)),
        "trainer.default_root_dir": options.out, "trainer.logger": "false", "trainer.callbacks": json.dumps([last]),
    }  # fmt: skip
    if checkpoint.is_file():
        settings["ckpt_path"] = checkpoint
    words = [
        f"--{name}={value}"
        for name, values in settings.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    torch.cuda.empty_cache()
    if subprocess.run(script(ROOT, "train.py", "fit", *words), check=False).returncode:
        raise InputError("training failed: its message stands above")
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])
