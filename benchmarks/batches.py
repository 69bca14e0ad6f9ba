"""What explaining images one by one instead of in a batch changes: the same noise, other rounding.

    python benchmarks/batches.py FOLDER --images 8

The gradient of the first step from a half-open mask, and the objective at the end of the optimisation.
"""

import torch
from common import arguments, default_problem, measure

from amortex.draws import Draws
from amortex.explainers import RDE


def main() -> None:
    parser = arguments(__doc__, images=8)
    parser.add_argument("--lambda-k", type=float, default=5.0)
    parser.add_argument("--preset", default="fast")
    options = parser.parse_args()
    rd, reference = default_problem(options)
    image, single = reference.image, range(options.images)
    explainer = RDE(rd, options.lambda_k, options.preset)

    mask = image.new_full((len(image), reference.layout.k), 0.5)
    together = rd.value_and_gradient(reference, mask, Draws.of(image), 16)[1]
    for i in single:
        one = slice(i, i + 1)
        alone = rd.value_and_gradient(reference.of(one), mask[one], Draws.of(image[one]), 16)[1]
        difference = ((alone - together[one]).norm() / alone.norm()).item()
        print(f"image {i}: relative difference of the first gradient {difference:.1e}", flush=True)

    masks = {
        "in a batch": explainer.explain(image).mask,
        "one by one": torch.cat([explainer.explain(image[i : i + 1]).mask for i in single]),
    }
    for name, mask in masks.items():
        distortion, rate = measure(rd, reference, mask)
        objective = distortion + options.lambda_k * rate
        print(f"{name}: J = {objective.mean():.4f}; per image {[round(j, 3) for j in objective.tolist()]}", flush=True)


if __name__ == "__main__":
    main()
