"""Images whose numbers can be read off, and what a data module shows of them."""

import itertools

import numpy as np
import torch
from PIL import Image

from amortex.data import SignalData

CONFIG = {"input_size": (3, 16, 16), "interpolation": "bilinear", "crop_pct": 0.9, "crop_mode": "center"}


def picture(number: int, size: tuple[int, int] = (30, 24)) -> Image.Image:
    """An image that its number can be read off: constant in green and blue, noise in red."""
    pixels = np.full((*size[::-1], 3), number, dtype=np.uint8)
    pixels[..., 0] = np.random.default_rng(number).integers(0, 256, size[::-1])
    return Image.fromarray(pixels)


def make(train="embedded", **options) -> SignalData:
    options = {"workers": 0, "batch_size": 2, "input_size": 16, **options}
    data = SignalData(str(train), **options)
    data.setup()
    return data


def batches(data: SignalData, n: int) -> list[dict]:
    return list(itertools.islice(data.train_dataloader(), n))


def shown(data: SignalData, n: int) -> list[int]:
    """Numbers of the images in the first n batches."""
    return [int(image[1, 0, 0]) for batch in batches(data, n) for image in batch["image"]]


def validated(data: SignalData) -> dict:
    """All validation batches as one."""
    loaded = [data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader()]
    return {
        "image": torch.cat([batch["image"] for batch in loaded]),
        "index": torch.cat([batch["index"] for batch in loaded]).tolist(),
        "name": [name for batch in loaded for name in batch["name"]],
    }


def same(a: list[dict], b: list[dict]) -> bool:
    return len(a) == len(b) and all(torch.equal(x[k], y[k]) for x, y in zip(a, b, strict=True) for k in x)
