"""What the quality benchmarks share: a fixed set of photographs from a folder, and the objective on fresh noise."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from amortex.classifiers.classifier import load_classifier
from amortex.core.errors import InputError
from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams
from amortex.core.process import prepare
from amortex.io.images import Preprocess, find_images
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion


def arguments(description: str | None, images: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, help="photographs; --images of them are taken, evenly spaced in sorted order"
    )
    parser.add_argument("--images", type=int, default=images)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--out", type=Path, help="folder for the table as CSV and the plot")
    return parser


def photographs(rd: RateDistortion, folder: Path, count: int) -> EncodedBatch:
    """References of `count` photographs of `folder`, evenly spaced in sorted order."""
    sources = list(find_images([str(folder)]))
    if len(sources) < count:
        raise InputError(f"{folder} holds {len(sources)} images, {count} are needed")
    load = Preprocess(rd.classifier.data_config).load
    chosen = [sources[round(index * len(sources) / count)].path for index in range(count)]
    return rd.encode(torch.stack([load(path) for path in chosen]))


def curves(rd: RateDistortion, encoded: EncodedBatch, masks: Sequence[Tensor], samples: int, stream: str) -> Tensor:
    """Distortions ``(B, R)`` of R masks per image, each under the same draws."""
    streams = NoiseStreams.of(encoded.image, EVALUATION_SEED, stream)
    outputs = rd.probabilities(encoded, masks, streams, samples)
    return torch.stack([rd.distortions(encoded, part).mean(1) for part in outputs], 1)


def default_problem(options: argparse.Namespace) -> tuple[RateDistortion, EncodedBatch]:
    """The embedded classifier at `options.size`, and the photographs."""
    prepare()
    rd = RateDistortion(load_classifier(input_size=(3, options.size, options.size)))
    return rd, photographs(rd, options.folder, options.images)


def measure(rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, samples: int = 64) -> tuple[Tensor, Tensor]:
    """Distortion and rate per image, on noise that no optimiser saw."""
    outcome = rd(encoded, mask, NoiseStreams.evaluation(encoded.image), samples)
    return outcome.distortion.mean(1), outcome.rate
