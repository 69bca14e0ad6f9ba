"""What the benchmarks of quality share: signals of a folder, and the objective on noise that no optimiser saw."""

import argparse
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.modalities import modality_of
from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams
from amortex.core.process import prepare
from amortex.io.finding import find_files
from amortex.io.readers import reader_of
from amortex.metrics.functional import retains_class
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.problem import Problem


class Measured(NamedTuple):
    """What masks achieve, ``(B,)`` each."""

    distortion: Tensor
    rate: Tensor
    retained: Tensor  # 1 where the mean output keeps the class, else 0


def signals(rd: RateDistortion, folder: Path, count: int) -> list[EncodedBatch]:
    """`count` signals of `folder`, evenly spaced in sorted order, in batches of neighbours of one length.

    Raises:
        InputError: the folder holds fewer.
    """
    modality = modality_of(len(rd.classifier.input_size) - 1)
    sources = list(find_files([str(folder)], modality))
    if not 0 < count <= len(sources):
        noun = modality.noun
        raise InputError(f"{folder} holds {len(sources)} {noun}s: --images must be between 1 and that, not {count}")
    load = reader_of(rd.classifier.data_config).load
    read = [load(sources[round(index * len(sources) / count)].path) for index in range(count)]
    return [rd.encode(torch.stack(list(batch))) for _, batch in groupby(read, key=lambda signal: signal.shape)]


def photographs(rd: RateDistortion, folder: Path, count: int) -> EncodedBatch:
    """The `signals` of a classifier of images, which are of one size."""
    return signals(rd, folder, count)[0]


def default_problem(options: argparse.Namespace) -> tuple[RateDistortion, EncodedBatch]:
    """The embedded classifier at `options.size`, and the photographs."""
    prepare()
    rd = Problem(input_size=options.size).build()
    return rd, photographs(rd, options.folder, options.images)


def evaluate(rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, samples: int = 64) -> Measured:
    """What masks ``(B, k)`` achieve."""
    outcome = rd(encoded, mask, NoiseStreams.evaluation(encoded.image), samples)
    retained = retains_class(rd, outcome.probabilities, encoded.target, encoded.highest)
    return Measured(outcome.distortion.mean(1), outcome.rate, retained.to(mask))


def curves(rd: RateDistortion, encoded: EncodedBatch, masks: Sequence[Tensor], samples: int, stream: str) -> Tensor:
    """Distortions ``(B, R)`` of R masks per image, each under the same draws."""
    streams = NoiseStreams.of(encoded.image, EVALUATION_SEED, stream)
    outputs = rd.probabilities(encoded, masks, streams, samples)
    return torch.stack([rd.distortions(encoded, output).mean(1) for output in outputs], 1)
