"""What explaining images one by one instead of in a batch changes: the same noise, other rounding.

    python benchmarks/batches.py FOLDER --images 8

The gradient of the first step from a half-open mask, and the objective at the end of the optimisation, by default and
with `batch_invariant`.
"""

import time

import torch
from common import arguments, default_problem, measure

from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.presets import PRESETS
from amortex.explainers.rde import RDE


def main() -> None:
    parser = arguments(__doc__, images=8)
    parser.add_argument("--lambda-k", type=float, default=5.0)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    rd, encoded = default_problem(options)
    image, single = encoded.image, range(options.images)
    explainer = RDE(rd, options.lambda_k, PRESETS[options.preset].but(steps=options.steps))

    mask = image.new_full((len(image), encoded.layout.k), 0.5)
    together = rd.value_and_gradient(encoded, mask, NoiseStreams.of(image), 16)[1]
    for i in single:
        one = slice(i, i + 1)
        alone = rd.value_and_gradient(encoded.of(one), mask[one], NoiseStreams.of(image[one]), 16)[1]
        difference = ((alone - together[one]).norm() / alone.norm()).item()
        print(f"image {i}: relative difference of the first gradient {difference:.1e}", flush=True)

    for invariant in (False, True):
        rd.batch_invariant = invariant
        kind = "batch invariant" if invariant else "default"
        objectives = []
        for size in (options.images, 1):
            start = time.perf_counter()
            mask = torch.cat([explainer.explain(chunk).mask for chunk in image.split(size)])
            seconds = time.perf_counter() - start
            distortion, rate = measure(rd, encoded, mask)
            objectives.append(distortion + options.lambda_k * rate)
            print(f"{kind}, {size} at a time: mean J = {objectives[-1].mean():.4f}, {seconds:.0f} s", flush=True)
        relative = (objectives[1] / objectives[0] - 1).abs()
        print(f"{kind}: J differs by at most {relative.max():.2%}, {relative.mean():.2%} in the mean", flush=True)


if __name__ == "__main__":
    main()
