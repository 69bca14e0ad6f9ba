"""Training samples as a pure function of (seed, sample number).

Training is one endless stream of samples n = 0, 1, 2, ... The seed and n alone decide which signal a sample is of,
and which part. So neither the number of workers or devices nor an interruption changes what is trained on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import IterableDataset, default_collate, get_worker_info

from amortex.core.errors import InputError
from amortex.data.libraries import ImageStream
from amortex.data.preparation import Preparation
from amortex.data.reading import SkippingReader
from amortex.io.images import to_colour

ORDER_STREAM, CROP_STREAM, SPLIT_STREAM = 0, 1, 2  # of random numbers


@dataclass(frozen=True)
class SampleNumbers:
    """The sampler: which sample numbers are in which batch of a device.

    The global batch of step k begins at ``start + k * world_size * batch_size``. Every device has a contiguous block
    of it.

    Arguments:
        start: first sample number.
        batch_size: samples per batch and device.
        rank, world_size: this device, and how many there are.
    """

    start: int
    batch_size: int
    rank: int = 0
    world_size: int = 1

    def batches(self, worker: int = 0, workers: int = 1) -> Iterator[range]:
        """Batches of one worker of a loader: every `workers`-th, since the loader asks its workers in turn."""
        for step in count(worker, workers):
            first = self.start + (step * self.world_size + self.rank) * self.batch_size
            yield range(first, first + self.batch_size)


class ShuffledOrder:
    """Sample number -> index of a signal: a new permutation of all signals in each epoch."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed
        self.epoch = -1
        self.permutation: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def __call__(self, number: int) -> int:
        epoch, position = divmod(number, self.size)
        if epoch != self.epoch:
            self.epoch, self.permutation = epoch, generator(self.seed, ORDER_STREAM, epoch).permutation(self.size)
        return int(self.permutation[position])


def generator(seed: int, stream: int, number: int) -> np.random.Generator:
    """Random numbers that belong to (seed, stream, number)."""
    return np.random.default_rng((seed, stream, number))


class TrainSamples(IterableDataset[dict[str, Tensor]]):
    """Endless training batches: signals ``(B, C, *size)`` as "image", sample numbers ``(B,)`` as "index"."""

    def __init__(self, signals: SkippingReader, preparation: Preparation, numbers: SampleNumbers, seed: int) -> None:
        self.signals, self.preparation, self.numbers, self.seed = signals, preparation, numbers, seed
        self.order = ShuffledOrder(len(signals.source), seed)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for batch in self.numbers.batches(*_worker()):
            yield default_collate([self.sample(number) for number in batch])

    def sample(self, number: int) -> dict[str, Any]:
        signal, _ = self.signals.open(self.order(number))
        random = generator(self.seed, CROP_STREAM, number)
        return {"image": self.preparation.augment(signal, random), "index": number}


class StreamedTrainImages(IterableDataset[dict[str, Tensor]]):
    """Batches like those of `TrainSamples`, from a data set that can only be read from start to end.

    The library shuffles, by the seed, the number of workers and the first sample number. So a resumed run sees the
    images in a new order.
    """

    def __init__(self, stream: ImageStream, preparation: Preparation, numbers: SampleNumbers, seed: int) -> None:
        self.stream, self.preparation, self.numbers, self.seed = stream, preparation, numbers, seed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        images = self.images()
        for batch in self.numbers.batches(*_worker()):
            yield default_collate([self.sample(next(images), number) for number in batch])

    def sample(self, image: Image.Image, number: int) -> dict[str, Any]:
        random = generator(self.seed, CROP_STREAM, number)
        return {"image": self.preparation.augment(image, random), "index": number}

    def images(self) -> Iterator[Image.Image]:
        # opened here, so that each worker counts its own epochs
        dataset = self.stream.open(seed=self.seed + self.numbers.start, training=True)
        dataset.set_loader_cfg(num_workers=_worker()[1])
        for epoch in count():
            dataset.set_epoch(epoch)
            empty = True
            for image, _ in dataset:
                empty = False
                yield to_colour(image)
            if empty:
                raise InputError(
                    f"{self.stream.name}: no images for one of the workers: the shards are missing, or fewer than"
                    " the workers of all devices; correct the root, or use fewer workers"
                )


def _worker() -> tuple[int, int]:
    """(number, count) of the loader's worker that this process is."""
    info = get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)
