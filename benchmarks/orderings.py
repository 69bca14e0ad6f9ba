"""Output distance when a hard mask keeps the top coefficients of each ordering and noise replaces the rest.

    python benchmarks/orderings.py FOLDER --images 12

The first point of CartoonX's figure 7a that matters: which ordering finds the coefficients that carry the decision?
"""

import torch
from common import arguments, default_problem, measure

from amortex.core.masks import energy, top_share
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.initial import sensitivity
from amortex.explainers.rde import RDE
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion


def main() -> None:
    parser = arguments(__doc__, images=12)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.02, 0.05, 0.1, 0.2])
    parser.add_argument("--lambda-k", type=float, default=5.0)
    parser.add_argument("--preset", default="converged")
    options = parser.parse_args()
    rd, encoded = default_problem(options)
    image, size = encoded.image, energy(encoded.coefficients)
    orderings = {
        "random": torch.rand(size.shape, generator=torch.Generator().manual_seed(0)),
        "magnitude": size,
        "sensitivity (untrained)": sensitivity(rd, encoded, NoiseStreams.of(image)),
        "WAM saliency": WAM(rd).explain(image).relevance,
        "WAM-SG": WAM(rd, "smoothgrad").explain(image).relevance,
        "WAM-IG": WAM(rd, "integrated").explain(image).relevance,
        f"CartoonX {options.preset}, lambda_k = {options.lambda_k:g}": RDE(
            rd, options.lambda_k, options.preset
        ).explain(image).relevance,
    }  # fmt: skip
    distance = RateDistortion(rd.classifier, rd.transform, rd.obfuscation, "l2", rd.internal_batch_size)
    print(f"||p - p'||_2, mean of {options.images} photographs, {options.size} px, hard masks, 64 draws\n")
    print("| ordering | " + " | ".join(f"{rate:.0%}" for rate in options.rates) + " |")
    print("|---|" + "---|" * len(options.rates))
    for name, relevance in orderings.items():
        masks = (top_share(relevance, rate, size) for rate in options.rates)
        row = [f"{measure(distance, encoded, mask)[0].mean():.3f}" for mask in masks]
        print(f"| {name} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
