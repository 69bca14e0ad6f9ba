"""How signals become samples: what differs in training between images, sound and volumes."""

from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from amortex.core.modalities import Modality, modality_of
from amortex.data.augmentation import RandomClip, RandomCrop, RandomShift, repeated, without_silent_end
from amortex.data.sources import decode
from amortex.io.images import Preprocess
from amortex.io.sounds import SoundReader
from amortex.io.volumes import VolumeReader

LONGEST = 60  # seconds of a sound, from its start, that samples are parts of


class Preparation(Protocol):
    """From files to samples ``(C, *size)`` for one classifier."""

    modality: Modality

    def read(self, file: Any) -> Any:
        """The signal of a file, as sources have it. For a broken file the decoder's error passes, whatever its type."""

    def augment(self, signal: Any, random: np.random.Generator) -> Tensor:
        """A sample for training."""

    def prepare(self, signal: Any) -> Tensor:
        """A sample as explanations are of."""


class PreparedImages:
    """Images of any size, RGB, as uint8 samples.

    Arguments:
        data_config: timm's.
    """

    def __init__(self, data_config: dict[str, Any]) -> None:
        self.modality = modality_of(2)
        self.reader, self.augment = Preprocess(data_config), RandomCrop(data_config)

    def read(self, file: Any) -> Image.Image:
        return decode(file)

    def prepare(self, signal: Image.Image) -> Tensor:
        return (self.reader(signal) * 255).round().to(torch.uint8)


class PreparedSounds:
    """Waveforms ``(C, n)`` of at most a minute, at the classifier's rate, as float32 samples.

    Arguments:
        data_config: ``input_size`` ``(C, T)``, ``sample_rate``, and ``lengths``, see `SoundReader`.
        own_lengths: prepare sounds of the lengths that `SoundReader` gives them; else short ones are repeated to T.
    """

    def __init__(self, data_config: dict[str, Any], own_lengths: bool = False) -> None:
        self.modality, self.own_lengths = modality_of(1), own_lengths
        self.reader, self.augment = SoundReader(data_config), RandomClip(data_config["input_size"][1])

    def read(self, file: Any) -> Tensor:
        length = LONGEST * self.reader.rate
        samples = torch.from_numpy(self.reader.read(file, length)[0])[:, :length].clamp(-1, 1)
        return samples.expand(self.reader.channels, -1).contiguous()

    def prepare(self, signal: Tensor) -> Tensor:
        if not self.own_lengths:
            signal = repeated(without_silent_end(signal), self.reader.length)
        return self.reader(signal[:, : self.reader.length].numpy())


class PreparedVolumes:
    """Volumes ``(C, D, H, W)`` of any size as float32 samples.

    Arguments:
        data_config: ``input_size`` ``(C, D, H, W)``.
    """

    def __init__(self, data_config: dict[str, Any]) -> None:
        self.modality = modality_of(3)
        self.reader, self.shift = VolumeReader(data_config), RandomShift()

    def read(self, file: Any) -> Tensor:
        return self.reader.load(file)

    def augment(self, signal: Tensor, random: np.random.Generator) -> Tensor:
        return self.shift(self.prepare(signal), random)

    def prepare(self, signal: Tensor) -> Tensor:
        return self.reader(signal.numpy())


def preparation_for(data_config: dict[str, Any], own_lengths: bool = False) -> Preparation:
    """The preparation for a classifier, whose ``input_size`` ``(C, *size)`` tells the kind of signals.

    With `own_lengths` sounds are as long as they are explained where the classifier takes any; else all have one
    length, to which short ones are repeated.
    """
    dims = len(data_config["input_size"]) - 1
    if dims == 1:
        return PreparedSounds(data_config if own_lengths else {**data_config, "lengths": None}, own_lengths)
    return PreparedImages(data_config) if dims == 2 else PreparedVolumes(data_config)
