"""Where time goes: classifier passes counted and timed from outside, and seconds by section."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Stopwatch:
    """Counts passes through `modules` (nested ones once) and times them, forward and backward.

    A pass is one image forward; backward counts 2. On a GPU, which runs behind the program, passes are counted but not
    timed.

    Arguments:
        modules: the classifier, and whatever else runs its layers.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.passes, self.seconds = 0, 0.0
        self.sections: dict[str, float] = defaultdict(float)
        self._depth = 0
        for module in modules:
            before, after = self._hooks()
            module.register_forward_pre_hook(before)
            module.register_forward_hook(after)

    def _hooks(self) -> tuple[Any, Any]:
        # closures, which a deep copy of the module shares: copies are counted, too
        starts: list[float] = []

        def before(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            self._depth += 1
            starts.append(time.perf_counter())

        def after(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            self._depth -= 1
            start = starts.pop()
            if self._depth:
                return
            self.passes += len(inputs[0])
            if not inputs[0].is_cuda:
                self.seconds += time.perf_counter() - start
            if isinstance(output, Tensor) and output.requires_grad and inputs[0].requires_grad:
                self._time_backward(inputs[0], output)

        return before, after

    def _time_backward(self, image: Tensor, output: Tensor) -> None:
        start = 0.0

        def begin(gradient: Tensor) -> None:
            nonlocal start
            start = time.perf_counter()
            self.passes += 2 * len(gradient)

        def end(gradient: Tensor) -> None:
            if not gradient.is_cuda:
                self.seconds += time.perf_counter() - start

        output.register_hook(begin)
        image.register_hook(end)

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Add the seconds within to the section's; one within another counts for the inner one alone."""
        start, before = time.perf_counter(), sum(self.sections.values())
        try:
            yield
        finally:
            inner = sum(self.sections.values()) - before
            self.sections[name] += time.perf_counter() - start - inner


def synchronise(device: torch.device) -> None:
    """Wait for a device, so that a clock tells what it did."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
