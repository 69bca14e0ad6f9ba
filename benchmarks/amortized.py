"""The objective of a trained explainer beside the best trivial answers, on photographs it has not seen.

    python benchmarks/amortized.py FOLDER --explainer EXPLAINER --images 64 --size 128

A trivial answer is the empty mask, the full mask, or a hard mask that keeps the top share of an ordering that needs no
training: magnitude, coarse levels first, WAM-SG, sensitivity, and what the predictor starts from. Its rate is chosen for
each image by measurement, from the same rates as the explainer's; the distortions that count are measured once more on
other noise.
"""

import torch
from common import arguments, photographs
from torch import Tensor
from tqdm import tqdm

from amortex.certificate import EVALUATION_SEED
from amortex.checkpoints import load_predictor
from amortex.draws import Draws
from amortex.explainers import WAM
from amortex.explainers.initial import sensitivity
from amortex.masks import energy, top_share
from amortex.predictors import MaskPredictor, Prediction
from amortex.process import prepare
from amortex.rate_distortion import RateDistortion, Reference

RATES = (0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)


def coarse_first(reference: Reference) -> Tensor:
    """Low-pass, then level J down to 1, within a level by energy."""
    size = energy(reference.coefficients)
    level = reference.layout.level.float()
    level = torch.where(level == 0, level.max() + 1, level)
    return level + size / (1 + size.amax(1, keepdim=True))


def curves(rd: RateDistortion, reference: Reference, masks: list[Tensor], samples: int, stream: str) -> Tensor:
    """Distortions ``(B, R)`` of a list of R masks on the same draws."""
    values = []
    for mask in masks:
        draws = Draws.of(reference.image, EVALUATION_SEED, stream)
        values.append(rd(reference, mask, draws, samples).distortion.mean(1))
    return torch.stack(values, 1)


def answers(predictor: MaskPredictor, prediction: Prediction) -> dict[str, list[Tensor]]:
    """The masks of each method at `RATES`."""
    rd, reference = predictor.rate_distortion, prediction.reference
    size = energy(reference.coefficients)
    orderings = {
        "magnitude": size,
        "coarse levels first": coarse_first(reference),
        "sensitivity": sensitivity(rd, reference, Draws.of(reference.image)),
        "WAM-SG": WAM(rd, "smoothgrad").explain(reference.image).relevance,
        "the predictor before training": predictor.decoder.given(prediction.evidence)[0],
    }
    hard = {name: [top_share(values, rate, size) for rate in RATES] for name, values in orderings.items()}
    empty = torch.zeros_like(size)
    return {
        "empty mask": [empty], "full mask": [empty + 1], **hard,
        "amortized, soft": [prediction.mask(rate) for rate in RATES],
        "amortized, hard": [top_share(prediction.logits, rate, size) for rate in RATES],
    }  # fmt: skip


@torch.no_grad()
def main() -> None:
    parser = arguments(__doc__, images=64)
    parser.add_argument("--explainer", required=True, help="a checkpoint or a release")
    parser.add_argument("--lambda-k", type=float, nargs="+", default=[1.0, 2.5, 5.0, 10.0])
    parser.add_argument("--samples", type=int, default=16, help="noise draws per mask")
    options = parser.parse_args()
    prepare()
    predictor = load_predictor(options.explainer, img_size=options.size, internal_batch_size=64)
    rd = predictor.rate_distortion
    image = photographs(rd, options.folder, options.images).image
    found: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {}
    for chunk in tqdm(image.split(8), desc="images", disable=None):
        prediction = predictor(chunk)
        for name, masks in answers(predictor, prediction).items():
            rates = torch.stack([mask.mean(1) for mask in masks], 1)
            chosen_on, counted = (curves(rd, prediction.reference, masks, options.samples, s) for s in ("a", "b"))
            found.setdefault(name, []).append((rates, chosen_on, counted))
        own = [prediction.mask(prediction.rate_for(value)) for value in options.lambda_k]
        distortion = curves(rd, prediction.reference, own, options.samples, "b")
        rates = torch.stack([mask.mean(1) for mask in own], 1)
        found.setdefault("amortized, rate predicted", []).append((rates, distortion, distortion))
    print(f"{options.images} photographs, {options.size} px: J (mean rate)\n")
    print("| answer | " + " | ".join(f"lambda_k = {value:g}" for value in options.lambda_k) + " |")
    print("|---|" + "---|" * len(options.lambda_k))
    for name, parts in found.items():
        rates, chosen_on, counted = (torch.cat(part) for part in zip(*parts, strict=True))
        cells = []
        for index, value in enumerate(options.lambda_k):
            best = (chosen_on + value * rates).argmin(1, keepdim=True)
            if "predicted" in name:
                best = torch.full_like(best, index)
            rate, distortion = rates.gather(1, best), counted.gather(1, best)
            cells.append(f"{(distortion + value * rate).mean():.3f} ({rate.mean():.1%})")
        print(f"| {name} | " + " | ".join(cells) + " |")
    falls = torch.cat([part[2] for part in found["amortized, soft"]])[:, [0, 2, 3, 5, 7, 9, 10, 12, 14]]
    monotone = (falls.diff(dim=1) <= 0.01).all(1).float().mean()
    print(f"\ndistortion never rises by more than 0.01 over nine rates: {monotone:.1%} of the images")


if __name__ == "__main__":
    main()
