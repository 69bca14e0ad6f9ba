"""Training samples as a pure function of (seed, sample number), and the validation images.

Training is one endless stream of samples n = 0, 1, 2, ...: which image a sample shows, and how it is cropped, depends
on the seed and n alone. So neither the number of workers or devices nor an interruption changes what is trained on.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data.transforms import str_to_pil_interp
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, default_collate, get_worker_info

from amortex.core.errors import InputError
from amortex.data.libraries import Stream
from amortex.data.sources import Readable
from amortex.io.images import Preprocess, to_colour

SCALE, RATIO = (0.35, 1.0), (3 / 4, 4 / 3)  # of the random crops: share of the area, width to height
ORDER, CROP = 0, 1  # streams of random numbers


@dataclass(frozen=True)
class SampleNumbers:
    """The sampler: which sample numbers are in which batch of a device.

    The global batch of step k is ``start + k * world * batch, ...``, of which every device has a contiguous block.

    Arguments:
        start: first sample number.
        batch: samples per batch and device.
        rank, world: this device, and how many there are.
    """

    start: int
    batch: int
    rank: int = 0
    world: int = 1

    def batches(self, worker: int = 0, workers: int = 1) -> Iterator[range]:
        """Batches of a loader's worker: each takes every `workers`-th, as the loader collects them in turn."""
        for k in count(worker, workers):
            first = self.start + (k * self.world + self.rank) * self.batch
            yield range(first, first + self.batch)


class Order:
    """Sample number -> index of an image: a new permutation of all images in each epoch."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed
        self.epoch = -1
        self.permutation: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def __call__(self, n: int) -> int:
        epoch, position = divmod(n, self.size)
        if epoch != self.epoch:
            self.epoch, self.permutation = epoch, generator(self.seed, ORDER, epoch).permutation(self.size)
        return int(self.permutation[position])


def generator(seed: int, stream: int, number: int) -> np.random.Generator:
    """Random numbers that belong to (seed, stream, number)."""
    return np.random.default_rng((seed, stream, number))


class RandomCrop:
    """PIL image -> uint8 ``(C, H, W)``: a random part of it, resized with antialiasing, half of them mirrored."""

    def __init__(self, data_config: dict[str, Any]) -> None:
        channels, self.height, self.width = data_config["input_size"]
        self.mode = "L" if channels == 1 else "RGB"
        self.interpolation = str_to_pil_interp(data_config["interpolation"])

    def __call__(self, image: Image.Image, random: np.random.Generator) -> Tensor:
        box = self.box(*image.size, random)
        image = image.convert(self.mode).resize((self.width, self.height), self.interpolation, box)
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image)).reshape(self.height, self.width, -1)
        return pixels.permute(2, 0, 1).contiguous()

    def box(self, width: int, height: int, random: np.random.Generator) -> tuple[int, int, int, int]:
        """(left, upper, right, lower) of the part; all of the image but its longer ends if nothing fits."""
        target = self.width / self.height
        for _ in range(10):
            area = width * height * random.uniform(*SCALE)
            ratio = target * math.exp(random.uniform(*np.log(RATIO)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                break
        else:
            w = max(1, min(width, round(height * target * RATIO[1])))
            h = max(1, min(height, round(width / (target * RATIO[0]))))
        left, upper = (int(random.integers(0, spare + 1)) for spare in (width - w, height - h))
        return left, upper, left + w, upper + h


class TrainImages(IterableDataset[dict[str, Tensor]]):
    """Endless training batches: uint8 images ``(B, C, H, W)`` and sample numbers ``(B,)`` as "image" and "index"."""

    def __init__(self, images: Readable, crop: RandomCrop, numbers: SampleNumbers, seed: int) -> None:
        self.images, self.crop, self.numbers, self.seed = images, crop, numbers, seed
        self.order = Order(len(images.source), seed)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for batch in self.numbers.batches(*_worker()):
            yield default_collate([self.sample(n) for n in batch])

    def sample(self, n: int) -> dict[str, Any]:
        image, _ = self.images.open(self.order(n))
        return {"image": self.crop(image, generator(self.seed, CROP, n)), "index": n}


class StreamImages(IterableDataset[dict[str, Tensor]]):
    """The same of a source that can only be read from start to end.

    The library shuffles, by the seed, the number of workers and the first sample number: training that is
    resumed sees the images in a new order.
    """

    def __init__(self, stream: Stream, crop: RandomCrop, numbers: SampleNumbers, seed: int) -> None:
        self.stream, self.crop, self.numbers, self.seed = stream, crop, numbers, seed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        images = self.images()
        for batch in self.numbers.batches(*_worker()):
            randoms = ((n, generator(self.seed, CROP, n)) for n in batch)
            yield default_collate([{"image": self.crop(next(images), random), "index": n} for n, random in randoms])

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


class ValImages(Dataset[dict[str, Any]]):
    """Validation images as the classifier wants them: uint8 "image" ``(C, H, W)``, "index" and "name"."""

    def __init__(self, images: Readable, preprocess: Preprocess) -> None:
        self.images, self.preprocess = images, preprocess

    def __len__(self) -> int:
        return len(self.images.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, name = self.images.open(index)
        pixels = (self.preprocess(image) * 255).round().to(torch.uint8)
        return {"image": pixels, "index": index, "name": name}


def _worker() -> tuple[int, int]:
    info = get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)
