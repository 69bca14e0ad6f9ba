"""What rounding does when images are explained one by one instead of in a batch, under the same noise.

    python -m benchmarks batches FOLDER

Behind docs/results.md, Batches. It prints how the gradient of the first step differs at a mask of one half, and how
the objective differs once masks are optimised, by default and with `batch_invariant`.
"""

import argparse
import time

import torch

from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.presets import PRESETS
from amortex.explainers.rde import RDE
from benchmarks.quality import default_problem, evaluate


def main(options: argparse.Namespace) -> None:
    rd, encoded = default_problem(options)
    image = encoded.image
    explainer = RDE(rd, options.lambda_k, PRESETS[options.preset].but(steps=options.steps))

    mask = image.new_full((len(image), encoded.layout.k), 0.5)
    together = rd.value_and_gradient(encoded, mask, NoiseStreams.of(image), 16)[1]
    for index in range(options.images):
        place = slice(index, index + 1)
        alone = rd.value_and_gradient(encoded.of(place), mask[place], NoiseStreams.of(image[place]), 16)[1]
        difference = ((alone - together[place]).norm() / alone.norm()).item()
        print(f"image {index}: relative difference of the first gradient {difference:.1e}", flush=True)

    for invariant in (False, True):
        rd.batch_invariant = invariant
        mode = "batch invariant" if invariant else "default"
        objectives = []
        for batch_size in (options.images, 1):
            start = time.perf_counter()
            mask = torch.cat([explainer.explain(chunk).mask for chunk in image.split(batch_size)])
            seconds = time.perf_counter() - start
            distortion, rate, _ = evaluate(rd, encoded, mask)
            objectives.append(distortion + options.lambda_k * rate)
            print(f"{mode}, {batch_size} at a time: mean J = {objectives[-1].mean():.4f}, {seconds:.0f} s", flush=True)
        relative = (objectives[1] / objectives[0] - 1).abs()
        print(f"{mode}: J differs by at most {relative.max():.2%}, {relative.mean():.2%} in the mean", flush=True)
