"""Random parts of signals, as training sees them."""

import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.transforms import str_to_pil_interp
from torch import Tensor

CROP_AREAS, CROP_RATIOS = (0.35, 1.0), (3 / 4, 4 / 3)  # ranges: share of the image's area, width to height
CROP_ATTEMPTS = 10
GAINS = (-12.0, 0.0)  # decibels


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


def repeated(sound: Tensor, length: int) -> Tensor:
    """A sound ``(C, n)`` again and again, so that `length` samples follow wherever in the first n one begins.

    Where all sounds must have one length, short ones are repeated, since silence would be another class.
    """
    return sound if sound.shape[1] >= length else sound.tile((1, 2 + length // sound.shape[1]))


def without_silent_end(sound: Tensor) -> Tensor:
    """A sound ``(C, n)`` but for the digital silence at its end, which is no part of it."""
    heard = sound.any(0).nonzero()
    return sound[:, : int(heard[-1]) + 1] if len(heard) else sound


class RandomClip:
    """Sound ``(C, n)`` -> float32 ``(C, T)``: a random part; a shorter sound is repeated. Quieter by up to 12 dB.

    Arguments:
        length: T, in samples.
    """

    def __init__(self, length: int) -> None:
        self.length = length

    def __call__(self, sound: Tensor, random: np.random.Generator) -> Tensor:
        sound = without_silent_end(sound)
        spare = sound.shape[1] - self.length
        place = int(random.integers(0, (spare if spare >= 0 else sound.shape[1]) + 1))
        gain = 10 ** (random.uniform(*GAINS) / 20)
        return repeated(sound, self.length)[:, place : place + self.length] * gain


class RandomShift:
    """Volume ``(C, D, H, W)`` -> the same, moved by at most a sixteenth of each side; its border is repeated."""

    def __call__(self, volume: Tensor, random: np.random.Generator) -> Tensor:
        for axis, length in enumerate(volume.shape[1:], start=1):
            most = length // 16
            places = torch.arange(length) + int(random.integers(-most, most + 1))
            volume = volume.index_select(axis, places.clamp(0, length - 1))
        return volume
