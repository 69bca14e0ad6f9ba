"""The validation images: those that cannot be read are left out, and nothing stands in for them."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from amortex.core.errors import InputError
from amortex.data.reading import SkippingReader, try_open
from amortex.data.sources import ImageSource
from amortex.io.images import Preprocess

Sample = dict[str, Any]


class ValImages(Dataset[Sample]):
    """Validation images as the classifier takes them: uint8 "image" ``(C, H, W)``, "index" and "name".

    Of an image that cannot be read there are "name" and "reason".
    """

    def __init__(self, images: SkippingReader, preprocess: Preprocess) -> None:
        self.images, self.preprocess = images, preprocess

    def __len__(self) -> int:
        return len(self.images.source)

    def __getitem__(self, index: int) -> Sample:
        image, name = self.images.read(index), self.images.source.name(index)
        if isinstance(image, str):
            return {"name": name, "reason": image}
        return {"image": to_bytes(self.preprocess, image), "index": index, "name": name}


class ValLoader(DataLoader[Sample]):
    """Batches of the images that can be read. A batch without any is passed over.

    Arguments:
        images: to read.
        left_out: where it notes the names of those that cannot be read, and the reasons.
        **options: of torch's loader.
    """

    def __init__(self, images: ValImages, left_out: dict[str, str], **options: Any) -> None:
        super().__init__(images, collate_fn=_collate, **options)
        self.left_out = left_out

    def __iter__(self) -> Iterator[Sample]:  # type: ignore[override]
        for batch, left_out in super().__iter__():
            self.left_out |= left_out
            if batch:
                yield batch


def evenly_spaced(source: ImageSource, preprocess: Preprocess, count: int) -> Tensor:
    """`count` images of a source, or all it has, in [0, 1], ``(B, C, H, W)``.

    Each is the first one that can be read of as many equal parts of the list.

    Raises:
        InputError: none can be read.
    """
    size, count = len(source), min(count, len(source))
    parts = [range(part * size // count, (part + 1) * size // count) for part in range(count)]
    pixels = []
    for part in parts:
        images = (try_open(source, index) for index in part)
        pixels += [to_bytes(preprocess, image) for image in islice((i for i in images if not isinstance(i, str)), 1)]
    if not pixels:
        raise InputError(f"none of {size} validation images can be read")
    return torch.stack(pixels).float() / 255


def to_bytes(preprocess: Preprocess, image: Image.Image) -> Tensor:
    """uint8 ``(C, H, W)`` as the classifier takes it."""
    return (preprocess(image) * 255).round().to(torch.uint8)


def _collate(samples: list[Sample]) -> tuple[Sample, dict[str, str]]:
    """A batch of the samples that have an image, and the name and the reason of the others."""
    images = [sample for sample in samples if "image" in sample]
    left_out = {sample["name"]: sample["reason"] for sample in samples if "reason" in sample}
    return default_collate(images) if images else {}, left_out
