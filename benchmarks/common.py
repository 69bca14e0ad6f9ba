"""What the quality benchmarks share: a fixed set of photographs from a folder, and the objective on fresh noise."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from amortex.classifiers.classifier import load_classifier
from amortex.core.errors import InputError
from amortex.core.noise_streams import EVALUATION_SEED, Draws
from amortex.core.process import prepare
from amortex.io.images import Preprocess, find_images
from amortex.rate_distortion.encoded_batch import Reference
from amortex.rate_distortion.measure import RateDistortion


def arguments(description: str | None, images: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, help="photographs; --images of them are taken, evenly spaced in sorted order"
    )
    parser.add_argument("--images", type=int, default=images)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--out", type=Path, help="folder for the table as CSV and the plot")
    return parser


def photographs(rd: RateDistortion, folder: Path, count: int) -> Reference:
    """References of `count` photographs of `folder`, evenly spaced in sorted order."""
    sources = list(find_images([str(folder)]))
    if len(sources) < count:
        raise InputError(f"{folder} holds {len(sources)} images, {count} are needed")
    load = Preprocess(rd.classifier.data_config).load
    chosen = [sources[round(index * len(sources) / count)].path for index in range(count)]
    return rd.reference(torch.stack([load(path) for path in chosen]))


def curves(rd: RateDistortion, reference: Reference, masks: Sequence[Tensor], samples: int, stream: str) -> Tensor:
    """Distortions ``(B, R)`` of R masks per image, each under the same draws."""
    draws = Draws.of(reference.image, EVALUATION_SEED, stream)
    outputs = rd.probabilities(reference, masks, draws, samples)
    return torch.stack([rd.distortions(reference, part).mean(1) for part in outputs], 1)


def default_problem(options: argparse.Namespace) -> tuple[RateDistortion, Reference]:
    """The embedded classifier at `options.size`, and the photographs."""
    prepare()
    rd = RateDistortion(load_classifier(input_size=(3, options.size, options.size)))
    return rd, photographs(rd, options.folder, options.images)


def measure(rd: RateDistortion, reference: Reference, mask: Tensor, samples: int = 64) -> tuple[Tensor, Tensor]:
    """Distortion and rate per image, on noise that no optimiser saw."""
    outcome = rd(reference, mask, Draws.evaluation(reference.image), samples)
    return outcome.distortion.mean(1), outcome.rate
