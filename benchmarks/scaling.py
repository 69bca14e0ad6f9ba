"""How throughput scales from one process to two, side by side in one run on CPU cores that are otherwise free.

    python -m benchmarks scaling

Behind the figures for two processes of docs/results.md, Speed, Training. Two processes of one thread each: in turn,
the first works alone while the second waits, and both work at once. Rows: a training step of 8 images per process,
gradients averaged over processes (DDP over gloo) when both work; and CartoonX on 8 images per process (`--steps` steps
of 16 draws), as `train.py explain` shares it out. The ratio is the throughput of both over twice that of one alone: 1
is perfect. Weights are random: times do not depend on them.
"""

import argparse
import statistics
import tempfile
from functools import partial

import torch
from torch import distributed
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from amortex.core.process import prepare
from amortex.explainers.presets import Preset
from amortex.explainers.rde import RDE
from amortex.rate_distortion.problem import Problem
from amortex.training.module import AmortizedTrainingModule
from benchmarks.timing import Work, machine, seconds, with_range
from benchmarks.training import Loss, training_step

BATCH = 8


def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spawn(work, (options, f"file://{folder}/meeting"), nprocs=2)


def work(rank: int, options: argparse.Namespace, meeting: str) -> None:
    """What each of the two processes does."""
    distributed.init_process_group("gloo", meeting, rank=rank, world_size=2)
    torch.set_num_threads(1)
    prepare()
    torch.manual_seed(0)
    if rank == 0:
        print(f"{machine()}, {options.size} px, {options.repeats} repeats\n")
        print("| work | one alone (ms) | both (ms) | ratio [lowest, highest] |\n|---|---|---|---|", flush=True)
    problem = Problem(options.classifier, "random", input_size=options.size, internal_batch_size=64)
    module = AmortizedTrainingModule(problem)
    image = torch.rand(BATCH, 3, options.size, options.size, generator=torch.Generator().manual_seed(rank))
    loss = Loss(module)
    alone, together = (training_step(module, part, image) for part in (loss, DistributedDataParallel(loss)))
    measure(rank, f"training step of {BATCH} images", alone, together, options.repeats)
    cartoonx = RDE(module.predictor.rate_distortion, preset=Preset("benchmark", options.steps, 16, 1e-3, "constant"))
    explain = partial(cartoonx.explain, image)
    measure(rank, f"CartoonX, {options.steps} steps on {BATCH} images", explain, explain, options.repeats)
    distributed.destroy_process_group()


def measure(rank: int, name: str, alone: Work, together: Work, repeats: int) -> None:
    """Print a row of the table: seconds alone and together, and the ratio of throughputs."""
    times = []
    for repeat in range(repeats + 1):
        distributed.barrier()
        single = seconds(alone) if rank == 0 else 0.0
        distributed.barrier()
        both = torch.tensor(seconds(together))
        distributed.all_reduce(both, distributed.ReduceOp.MAX)
        if repeat:  # the first repeat warms up
            times.append((single, both.item()))
    if rank == 0:
        medians = [statistics.median(column) for column in zip(*times, strict=True)]
        ratio = with_range([single / both for single, both in times])
        print(f"| {name} | {medians[0] * 1e3:.0f} | {medians[1] * 1e3:.0f} | {ratio} |", flush=True)
