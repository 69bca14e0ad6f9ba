"""Whether optimised masks are good for amortex's own arithmetic alone: distortions, measured in other ways.

    python -m benchmarks independent FOLDER --images 64 --samples 256 --out OUT

Behind docs/results.md, Measured in other ways. An optimiser might find masks that suit its random numbers, its folded
network, or its rounding. Each row changes one thing: other draws; draws of numpy's generator; on the same draws timm's
network, whose batch normalisations are not folded; and on the same draws the inverse transform of PyWavelets and that
network, all in float64. The last row changes all. Ratios are those of mean distortions, with 95 % bootstrap intervals
over the images. Means and deviations of the noise are amortex's in all rows.
"""

import argparse
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pywt
import torch
from torch import Tensor, nn
from tqdm import tqdm

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.explainer import Amortized
from amortex.amortized.released import released
from amortex.core.errors import InputError
from amortex.core.layout import Coefficients
from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams
from amortex.explainers.base import Explainer
from amortex.explainers.rde import RDE
from amortex.io.files import write_atomically
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from benchmarks.bare_explanation import with_weights
from benchmarks.quality import default_problem
from benchmarks.timing import timm_network

CLASSIFIER = "tf_efficientnet_lite0"
CHUNK = 16  # draws in memory at once
REPLICATES = 2000
Noise = tuple[Tensor, ...]
Output = Callable[[Coefficients], Tensor]  # mixed coefficients -> probabilities of the classes


def main(options: argparse.Namespace) -> None:
    if options.samples < CHUNK or options.samples % CHUNK:
        raise InputError(f"--samples must be a multiple of {CHUNK}, not {options.samples}")
    rd, encoded = default_problem(options)
    explainer: Explainer = RDE(rd, options.lambda_k)
    if options.method == "amortized":
        release = released(CLASSIFIER)
        assert release is not None, "amortex comes with an explainer for its default classifier"
        explainer = Amortized(load_predictor(release, input_size=options.size), options.lambda_k)
    photographs = zlib.crc32(encoded.image.numpy().tobytes())  # other ones have other masks
    file = options.out / f"{options.method}_{options.lambda_k:g}_{options.images}_{options.size}_{photographs:08x}.pt"
    masks = explained(explainer, encoded, file)
    networks = Networks(*(with_weights(timm_network(CLASSIFIER)).to(dtype) for dtype in (torch.float32, torch.float64)))
    rows = torch.stack([
        distortions(rd, networks, encoded.of(slice(index, index + 1)), masks[index : index + 1], options.samples)
        for index in tqdm(range(len(masks)), disable=None)
    ])  # fmt: skip
    print(f"{options.method}, lambda_k {options.lambda_k:g}, {len(masks)} photographs, {options.size} px, "
          f"{options.samples} draws, mean rate {encoded.rate(masks).mean():.2%}\n")  # fmt: skip
    print("| measured by | mean distortion | over the first |\n|---|---|---|")
    for name, column in zip(NAMES, rows.T, strict=True):
        ratio, low, high = ratio_of_means(column, rows[:, 0])
        print(f"| {name} | {column.mean():.5f} | {ratio:.4f} [{low:.4f}, {high:.4f}] |")


def explained(explainer: Explainer, encoded: EncodedBatch, file: Path) -> Tensor:
    """Masks ``(B, k)``, explained one by one; those that `file` holds already are not explained again."""
    masks = list(torch.load(file, weights_only=True)) if file.exists() else []
    file.parent.mkdir(parents=True, exist_ok=True)
    for image in tqdm(encoded.image[len(masks) :], disable=None):
        masks.append(explainer.explain(image[None]).mask[0])
        buffer = io.BytesIO()
        torch.save(torch.stack(masks), buffer)
        write_atomically(file, buffer.getvalue())
    return torch.stack(masks[: len(encoded.image)])


NAMES = (
    "amortex", "other draws", "draws of numpy", "timm's network, not folded", "PyWavelets and timm's network, float64",
    "all of these",
)  # fmt: skip


class Networks(NamedTuple):
    """timm's network in two precisions."""

    single: nn.Module
    double: nn.Module


def distortions(rd: RateDistortion, networks: Networks, encoded: EncodedBatch, mask: Tensor, samples: int) -> Tensor:
    """Mean distortions ``(len(NAMES),)`` of one mask ``(1, k)``."""

    def own(mixed: Coefficients) -> Tensor:
        return rd.phi(rd.picture(mixed))

    def unfolded(mixed: Coefficients) -> Tensor:
        return probabilities(networks.single, rd, rd.picture(mixed))

    def exact(mixed: Coefficients) -> Tensor:
        return probabilities(networks.double, rd, with_pywavelets(rd, mixed))

    first, other = EVALUATION_SEED, EVALUATION_SEED + 1
    ways: tuple[tuple[Callable[[], Iterator[Noise]], Output], ...] = (
        (lambda: streamed(rd, encoded, samples, first), own),
        (lambda: streamed(rd, encoded, samples, other), own),
        (lambda: from_numpy(encoded, samples), own),
        (lambda: streamed(rd, encoded, samples, first), unfolded),
        (lambda: streamed(rd, encoded, samples, first), exact),
        (lambda: from_numpy(encoded, samples), exact),
    )
    return torch.stack([measured(rd, encoded, mask, noise(), output) for noise, output in ways])


@torch.no_grad()
def measured(rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, noise: Iterator[Noise], output: Output) -> Tensor:
    """The squared error of the class's probability (`label_l2`), mean over the draws."""
    target = encoded.target[0]
    p = output(encoded.coefficients)[0, target]
    q = torch.cat([output(rd.mix(encoded, mask, draws))[:, target] for draws in noise])
    return (q - p).square().mean().double()


def streamed(rd: RateDistortion, encoded: EncodedBatch, samples: int, seed: int) -> Iterator[Noise]:
    """Unit noise of amortex, in chunks."""
    streams = NoiseStreams.evaluation(encoded.image, seed)
    for _ in range(samples // CHUNK):
        noise = rd.noise(encoded, streams, slice(None), CHUNK)
        assert noise is not None, "the default obfuscation is random"
        yield noise


def from_numpy(encoded: EncodedBatch, samples: int) -> Iterator[Noise]:
    """Unit noise of numpy's generator, in chunks."""
    generator = np.random.default_rng(NoiseStreams.evaluation(encoded.image).seeds[0])
    for _ in range(samples // CHUNK):
        yield tuple(
            torch.from_numpy(generator.standard_normal((1, CHUNK, *band.shape[1:]), dtype=np.float32))
            for band in encoded.coefficients.bands
        )


def with_pywavelets(rd: RateDistortion, mixed: Coefficients) -> Tensor:
    """The image of coefficients by PyWavelets in float64, clipped to its range."""
    assert isinstance(rd.transform, Wavelet)
    low, *details = (band.double().numpy() for band in mixed.bands)
    coefficients = [low, *(tuple(np.moveaxis(detail, -3, 0)) for detail in reversed(details))]
    image = pywt.waverec2(coefficients, rd.transform.wavelet, mode=rd.transform.padding)
    rows, columns = mixed.layout.size
    return torch.from_numpy(image[..., :rows, :columns]).clamp(*rd.value_range)


def probabilities(model: nn.Module, rd: RateDistortion, image: Tensor) -> Tensor:
    """Of the classes ``(B, M)``, by a network that takes normalised images, in the precision of the images."""
    mean, std = rd.classifier.mean.to(image), rd.classifier.std.to(image)
    outputs: Tensor = model((image - mean) / std).softmax(-1)
    return outputs


def ratio_of_means(values: Tensor, reference: Tensor) -> tuple[float, float, float]:
    """mean(values) / mean(reference) over images, and its bootstrap interval; both ``(B,)``."""
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(len(values), (REPLICATES, len(values)), generator=generator)
    ratios = values[index].mean(1) / reference[index].mean(1)
    low, high = ratios.quantile(ratios.new_tensor([0.025, 0.975])).tolist()
    return (values.mean() / reference.mean()).item(), low, high
