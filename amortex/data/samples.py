"""Training samples as a pure function of (seed, sample number).

Training is one endless stream of samples n = 0, 1, 2, ... The seed and n alone decide which image a sample shows, and
how it is cropped. So neither the number of workers or devices nor an interruption changes what is trained on.
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
from torch.utils.data import IterableDataset, default_collate, get_worker_info

from amortex.core.errors import InputError
from amortex.data.libraries import ImageStream
from amortex.data.reading import SkippingReader
from amortex.io.images import to_colour

CROP_AREAS, CROP_RATIOS = (0.35, 1.0), (3 / 4, 4 / 3)  # ranges: share of the image's area, width to height
CROP_ATTEMPTS = 10
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
    """Sample number -> index of an image: a new permutation of all images in each epoch."""

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


class RandomCrop:
    """PIL image -> uint8 ``(C, H, W)``: a random part, resized with antialiasing, mirrored with probability 1/2.

    Arguments:
        data_config: timm's data config, of which it uses ``input_size`` and ``interpolation``.
    """

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
        """(left, upper, right, lower) of the part; if nothing fits, all of the image but its longer ends."""
        target = self.width / self.height
        for _ in range(CROP_ATTEMPTS):
            area = width * height * random.uniform(*CROP_AREAS)
            ratio = target * math.exp(random.uniform(*np.log(CROP_RATIOS)))
            crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < crop_width <= width and 0 < crop_height <= height:
                break
        else:
            crop_width = max(1, min(width, round(height * target * CROP_RATIOS[1])))
            crop_height = max(1, min(height, round(width / (target * CROP_RATIOS[0]))))
        left, upper = (int(random.integers(0, spare + 1)) for spare in (width - crop_width, height - crop_height))
        return left, upper, left + crop_width, upper + crop_height


class TrainImages(IterableDataset[dict[str, Tensor]]):
    """Endless training batches: uint8 images ``(B, C, H, W)`` as "image", sample numbers ``(B,)`` as "index"."""

    def __init__(self, images: SkippingReader, crop: RandomCrop, numbers: SampleNumbers, seed: int) -> None:
        self.images, self.crop, self.numbers, self.seed = images, crop, numbers, seed
        self.order = ShuffledOrder(len(images.source), seed)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for batch in self.numbers.batches(*_worker()):
            yield default_collate([self.sample(number) for number in batch])

    def sample(self, number: int) -> dict[str, Any]:
        image, _ = self.images.open(self.order(number))
        return {"image": self.crop(image, generator(self.seed, CROP_STREAM, number)), "index": number}


class StreamedTrainImages(IterableDataset[dict[str, Tensor]]):
    """Batches like those of `TrainImages`, from a data set that can only be read from start to end.

    The library shuffles, by the seed, the number of workers and the first sample number. So a resumed run sees the
    images in a new order.
    """

    def __init__(self, stream: ImageStream, crop: RandomCrop, numbers: SampleNumbers, seed: int) -> None:
        self.stream, self.crop, self.numbers, self.seed = stream, crop, numbers, seed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        images = self.images()
        for batch in self.numbers.batches(*_worker()):
            yield default_collate([self.sample(next(images), number) for number in batch])

    def sample(self, image: Image.Image, number: int) -> dict[str, Any]:
        return {"image": self.crop(image, generator(self.seed, CROP_STREAM, number)), "index": number}

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
