"""What the benchmarks of speed share: two pieces of work side by side, and the bare work of a network."""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import timm
import torch
from torch import Tensor, nn

Work = Callable[[], object]


class Comparison(NamedTuple):
    """Median seconds of two pieces of work; the median of their ratios, the lowest and the highest."""

    seconds: float
    bare_seconds: float
    ratio: float
    lowest: float
    highest: float


def seconds(work: Work) -> float:
    """How long the work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def repeated(work: Work, times: int) -> Work:
    """The same work so many times."""

    def repeat() -> None:
        for _ in range(times):
            work()

    return repeat


def side_by_side(work: Work, bare: Work, repeats: int) -> Comparison:
    """Time the work and the bare work in turn, so that whatever slows the machine down slows both down."""
    work(), bare()
    return compare([(seconds(work), seconds(bare)) for _ in range(repeats)])


def compare(times: Sequence[tuple[float, float]]) -> Comparison:
    """Medians of pairs of seconds, and of their ratios."""
    work, bare = zip(*times, strict=True)
    ratios = [pair[0] / pair[1] for pair in times]
    return Comparison(
        statistics.median(work), statistics.median(bare), statistics.median(ratios), min(ratios), max(ratios)
    )


def with_range(values: Sequence[float], digits: int = 2) -> str:
    """Median of values, the lowest and the highest, as the tables have them."""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def images(count: int, size: int) -> Tensor:
    """Random images ``(B, 3, H, W)`` in the memory layout of the classifiers."""
    return torch.rand(count, 3, size, size).contiguous(memory_format=torch.channels_last)


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


def training_passes(model: nn.Module, inputs: Tensor, masks: int, informed: bool) -> Work:
    """The passes of the classifier in a training step.

    One forward pass over the images, forward and backward for each of their masks, and forward and backward once more
    where the predictor is informed by a gradient.
    """
    obfuscated = inputs.repeat(masks, 1, 1, 1).contiguous(memory_format=torch.channels_last)

    def work() -> None:
        forward(model, inputs)
        forward_backward(model, obfuscated.clone())
        if informed:
            forward_backward(model, inputs.clone())

    return work


def machine() -> str:
    """The processor, threads and the version of torch, for the line above a table."""
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def print_header() -> None:
    """The head of the table that `print_row` goes on with."""
    print("| work | amortex (ms) | bare (ms) | ratio [lowest, highest] |\n|---|---|---|---|")


def print_row(work: str, row: Comparison) -> None:
    """A row of a Markdown table: work, milliseconds of it and of the bare work, their ratio and its range."""
    ratio = f"{row.ratio:.2f} [{row.lowest:.2f}, {row.highest:.2f}]"
    print(f"| {work} | {row.seconds * 1e3:.1f} | {row.bare_seconds * 1e3:.1f} | {ratio} |", flush=True)
