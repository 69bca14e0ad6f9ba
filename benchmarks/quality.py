"""What the benchmarks of quality share: photographs of a folder, and the objective on noise that no optimiser saw."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams
from amortex.core.process import prepare
from amortex.io.finding import find_files
from amortex.io.images import Preprocess
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.problem import Problem


def photographs(rd: RateDistortion, folder: Path, count: int) -> EncodedBatch:
    """`count` photographs of `folder`, evenly spaced in sorted order.

    Raises:
        InputError: the folder holds fewer.
    """
    sources = list(find_files([str(folder)]))
    if not 0 < count <= len(sources):
        raise InputError(f"{folder} holds {len(sources)} images: --images must be between 1 and that, not {count}")
    load = Preprocess(rd.classifier.data_config).load
    paths = [sources[round(index * len(sources) / count)].path for index in range(count)]
    return rd.encode(torch.stack([load(path) for path in paths]))


def default_problem(options: argparse.Namespace) -> tuple[RateDistortion, EncodedBatch]:
    """The embedded classifier at `options.size`, and the photographs."""
    prepare()
    rd = Problem(input_size=options.size).build()
    return rd, photographs(rd, options.folder, options.images)


def evaluate(rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, samples: int = 64) -> tuple[Tensor, Tensor]:
    """Distortion and rate of a mask ``(B, k)`` per image, ``(B,)`` each."""
    outcome = rd(encoded, mask, NoiseStreams.evaluation(encoded.image), samples)
    return outcome.distortion.mean(1), outcome.rate


def curves(rd: RateDistortion, encoded: EncodedBatch, masks: Sequence[Tensor], samples: int, stream: str) -> Tensor:
    """Distortions ``(B, R)`` of R masks per image, each under the same draws."""
    streams = NoiseStreams.of(encoded.image, EVALUATION_SEED, stream)
    outputs = rd.probabilities(encoded, masks, streams, samples)
    return torch.stack([rd.distortions(encoded, output).mean(1) for output in outputs], 1)
