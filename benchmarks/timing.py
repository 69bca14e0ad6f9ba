"""What the benchmarks of speed share: pieces of work side by side, over the bare work of the network."""

import platform
import statistics
import time
from collections.abc import Callable

import timm
import torch
from torch import Tensor, nn

Work = Callable[[], object]


def timm_network(name: str) -> nn.Module:
    """As timm builds it, in evaluation mode, frozen and channels-last."""
    return timm.create_model(name).eval().requires_grad_(False).to(memory_format=torch.channels_last)


def forward(model: nn.Module, inputs: Tensor) -> None:
    """A bare forward pass."""
    with torch.no_grad():
        model(inputs)


def forward_backward(model: nn.Module, inputs: Tensor) -> None:
    """Forward and backward to the input, nothing else."""
    leaf = inputs.requires_grad_()
    torch.autograd.grad(model(leaf).softmax(-1)[:, 0].sum(), leaf)


def side_by_side(ours: Work, bare: Work, repeats: int) -> tuple[float, float, float]:
    """Median seconds of both and the median of their ratios, alternating."""
    ours(), bare()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        bare()
        times.append((middle - start, time.perf_counter() - middle))
    return (
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        statistics.median(a / b for a, b in times),
    )


def machine() -> str:
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def show(work: str, row: tuple[float, float, float]) -> None:
    """A row of a Markdown table: work, milliseconds of ours, of the bare work, ratio."""
    print(f"| {work} | {row[0] * 1e3:.1f} | {row[1] * 1e3:.1f} | {row[2]:.2f} |", flush=True)
