"""How well work scales from one process to two, side by side in one run on CPU cores that are otherwise free.

    python benchmarks/scaling.py

Two processes of one thread each: in turn, the first works alone while the second waits, and both work at once. Rows: a
training step of 8 images per process, gradients averaged over processes (DDP over gloo) when both work; and CartoonX on
8 images per process (`--steps` steps of 16 draws), as `train.py explain` shares it out. The ratio is the throughput of
both over twice that of one alone: 1 is perfect. Weights are random: times do not depend on them.
"""

import argparse
import statistics
import tempfile
import time

import torch
import torch.multiprocessing as processes
from timing import Work, machine
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from amortex.core.process import prepare
from amortex.explainers.presets import Preset
from amortex.explainers.rde import RDE
from amortex.training.module import AmortizedTrainingModule

BATCH = 8


class Loss(nn.Module):
    """The training loss as a forward pass, which is what DDP wraps."""

    def __init__(self, module: AmortizedTrainingModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: torch.Tensor, numbers: list[int]) -> torch.Tensor:
        return self.module.objective(image, numbers, done=0.5, step=0)[0]


def training_step(module: AmortizedTrainingModule, loss: nn.Module, image: torch.Tensor) -> Work:
    optimizer = torch.optim.AdamW(module.predictor.decoder.parameters(), lr=1e-4)
    numbers = list(range(BATCH))

    def step() -> None:
        loss(image, numbers).backward()
        module.limit_gradient()
        optimizer.step()
        optimizer.zero_grad()
        module.on_train_batch_end()

    return step


def seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(rank: int, name: str, alone: Work, together: Work, repeats: int) -> None:
    """Print a row of the table: seconds alone and together, and the median ratio of throughputs."""
    times = []
    for repeat in range(repeats + 1):
        distributed.barrier()
        first = seconds(alone) if rank == 0 else 0.0
        distributed.barrier()
        both = torch.tensor(seconds(together))
        distributed.all_reduce(both, distributed.ReduceOp.MAX)
        if repeat:  # the first one warms up
            times.append((first, both.item()))
    if rank == 0:
        single, both = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(a / b for a, b in times)
        print(f"| {name} | {single * 1e3:.0f} | {both * 1e3:.0f} | {ratio:.2f} |", flush=True)


def work(rank: int, options: argparse.Namespace, meeting: str) -> None:
    distributed.init_process_group("gloo", meeting, rank=rank, world_size=2)
    torch.set_num_threads(1)
    prepare()
    torch.manual_seed(0)
    if rank == 0:
        print(f"{machine()}, {options.size} px, {options.repeats} repeats\n")
        print("| work | one alone (ms) | both (ms) | ratio |\n|---|---|---|---|", flush=True)
    module = AmortizedTrainingModule(options.classifier, "random", input_size=options.size)
    image = torch.rand(BATCH, 3, options.size, options.size, generator=torch.Generator().manual_seed(rank))
    loss = Loss(module)
    shared = DistributedDataParallel(loss)
    single, both = (training_step(module, one, image) for one in (loss, shared))
    measure(rank, f"training step of {BATCH} images", single, both, options.repeats)
    cartoonx = RDE(module.predictor.rate_distortion, preset=Preset("benchmark", options.steps, 16, 1e-3, "constant"))
    explain = lambda: cartoonx.explain(image)  # noqa: E731
    measure(rank, f"CartoonX, {options.steps} steps on {BATCH} images", explain, explain, options.repeats)
    distributed.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classifier", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=128, help="of the images")
    parser.add_argument("--steps", type=int, default=2, help="of CartoonX")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        processes.spawn(work, (options, f"file://{folder}/meeting"), nprocs=2)


if __name__ == "__main__":
    main()
