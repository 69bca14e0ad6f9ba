"""Counting classifier passes: the unit in which the cost of explanations is given.

A forward pass of one input counts 1. A backward pass counts 2, when it runs. Inputs are counted by their shapes, so
that counting never waits for a GPU. Where no counter is active, nothing is counted and nothing is paid.
"""

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

FORWARD, BACKWARD = 1, 2

Parameters = ParamSpec("Parameters")
Output = TypeVar("Output", Tensor, tuple[Any, ...])
Counted = Callable[Concatenate[Any, Tensor, Parameters], Output]


class PassCounter:
    """Counts the passes of a classifier while it is active, and shares them among the images they were made for.

    Several counters can be active at once, and each counts every pass. A backward pass is counted by the counters that
    saw its forward pass.

    Arguments:
        images: number of images that are worked on; 0 counts the total alone.

    Attributes:
        total: passes of all images together.
        seconds: time inside the classifier. On a GPU, which runs behind the program, it is not measured.

    >>> with classifier.count_passes(images=2) as counter:
    ...     logits = classifier(torch.rand(2, *classifier.input_size))
    >>> counter.per_image.tolist()
    [1.0, 1.0]
    """

    def __init__(self, images: int = 0) -> None:
        self.total, self.seconds = 0, 0.0
        self.scope = tuple(range(images))  # the images that are worked on at the moment
        self._images = images
        self._passes: defaultdict[tuple[int, ...], int] = defaultdict(int)

    @property
    def per_image(self) -> Tensor:
        """Passes for each image, ``(B,)`` float64 on the CPU."""
        passes = torch.zeros(self._images, dtype=torch.float64)
        for images, count in self._passes.items():
            passes[list(images)] += count / len(images)
        return passes

    def add(self, passes: int, scope: tuple[int, ...]) -> None:
        """Count passes, in equal shares, for the images of a scope."""
        self.total += passes
        if scope:
            self._passes[scope] += passes

    @contextmanager
    def only(self, images: slice | Tensor) -> Iterator[None]:
        """Within, passes are for these of the images that were worked on so far: a slice, or indices ``(N,)``."""
        outer = self.scope
        indices = range(len(outer))[images] if isinstance(images, slice) else images.tolist()
        self.scope = tuple(outer[index] for index in indices)
        try:
            yield
        finally:
            self.scope = outer

    @contextmanager
    def watch(self, classifier: "CountedModule") -> Iterator["PassCounter"]:
        """Within, count the passes of a classifier, too. Copies of a classifier are watched separately."""
        classifier.active_counters.append(self)
        try:
            yield self
        finally:
            classifier.active_counters.remove(self)


class ActiveCounters(list[PassCounter]):
    """The counters that watch a classifier; copies of the classifier, in memory or pickled, start without any."""

    def __reduce__(self) -> tuple[type["ActiveCounters"], tuple[()]]:
        return ActiveCounters, ()


class CountedModule(nn.Module):
    """A network whose passes can be counted: those of its methods that are `counted`."""

    def __init__(self) -> None:
        super().__init__()
        self.active_counters = ActiveCounters()

    @contextmanager
    def count_passes(self, images: int = 0) -> Iterator[PassCounter]:
        """A `PassCounter` of so many images that counts within the context."""
        with PassCounter(images).watch(self) as counter:
            yield counter

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Within, passes are for something else: counters that are active outside do not see them."""
        outside, self.active_counters = self.active_counters, ActiveCounters()
        try:
            yield
        finally:
            self.active_counters = outside

    @contextmanager
    def passes_for(self, images: slice | Tensor, of: int) -> Iterator[None]:
        """Within, passes are for some images of a batch of so many, a slice or indices ``(N,)``: the others are done.

        A counter of another number of images does not know these, and shares the passes among all of its own.
        """
        with ExitStack() as stack:
            for counter in self.active_counters:
                if len(counter.scope) == of:
                    stack.enter_context(counter.only(images))
            yield


class _Pass:
    """One call of a classifier, forward and perhaps backward, for the counters that were active and their scopes."""

    def __init__(self, counters: Sequence[PassCounter], timed: bool) -> None:
        self.shares = [(counter, counter.scope) for counter in counters]
        self.timed, self.start = timed, time.perf_counter()

    def begin(self, passes: int) -> None:
        for counter, scope in self.shares:
            counter.add(passes, scope)
        self.start = time.perf_counter()

    def end(self) -> None:
        if self.timed:
            seconds = time.perf_counter() - self.start
            for counter, _ in self.shares:
                counter.seconds += seconds


def counted(method: Counted[Parameters, Output]) -> Counted[Parameters, Output]:
    """Count the calls of a `CountedModule`'s method ``(self, inputs, ...) -> logits`` or ``(logits, ...)``."""

    @functools.wraps(method)
    def run(self: CountedModule, inputs: Tensor, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Output:
        if not self.active_counters:
            return method(self, inputs, *args, **kwargs)
        call = _Pass(self.active_counters, timed=inputs.device.type == "cpu")
        call.begin(FORWARD * len(inputs))
        output = method(self, inputs, *args, **kwargs)
        call.end()
        logits: Tensor = output if isinstance(output, Tensor) else output[0]
        if logits.requires_grad:
            # hooks without the tensors themselves, which would keep each other alive
            backward = BACKWARD * len(inputs)
            logits.register_hook(lambda gradient: call.begin(backward))
            if inputs.requires_grad:
                inputs.register_hook(lambda gradient: call.end())
        return output

    return run
