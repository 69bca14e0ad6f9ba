"""Whether a higher rate ever costs: the distortion of an explainer's masks over nine rates, on the same draws.

    python benchmarks/monotone.py FOLDER --images 250

A rise of up to 0.01 from one rate to the next does not count. Distortions are means over draws, whose noise is of that
size with few of them.
"""

import torch
from common import arguments, curves, photographs
from torch import Tensor
from tqdm import tqdm

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.explainer import DEFAULT_LEARNED_STEPS
from amortex.amortized.mask_path import MaskPath
from amortex.amortized.predictor import MaskPredictor
from amortex.amortized.released import released
from amortex.classifiers.default import DEFAULT_CLASSIFIER
from amortex.core.noise_streams import NoiseStreams
from amortex.core.process import prepare

RATES = (0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
RISE = 0.01
AIM = 5.0  # the lambda_k of the refined masks


def distortions(predictor: MaskPredictor, image: Tensor, learned_steps: int, samples: int) -> Tensor:
    """``(B, R)``, of images ``(B, C, H, W)`` at `RATES`."""
    prediction, rd = predictor(image), predictor.rate_distortion
    refined = (
        predictor.refine(prediction, AIM, learned_steps, NoiseStreams.of(image, stream="refine"))
        if learned_steps
        else None
    )
    trace = MaskPath(rd, prediction, refined, hard=False)
    masks = [trace.mask(image.new_full((len(image),), rate)) for rate in RATES]
    return curves(rd, prediction.encoded, masks, samples, "monotone")


@torch.no_grad()
def main() -> None:
    parser = arguments(__doc__, images=64)
    parser.add_argument("--explainer", help="a checkpoint or a release; default: the one that comes with amortex")
    parser.add_argument(
        "--learned-steps", type=int, default=DEFAULT_LEARNED_STEPS, help="learned steps; 0 for masks of one pass"
    )
    parser.add_argument("--samples", type=int, default=64, help="noise draws per mask")
    options = parser.parse_args()
    prepare()
    path = options.explainer or released(DEFAULT_CLASSIFIER)
    predictor = load_predictor(path, input_size=options.size, internal_batch_size=64)
    image = photographs(predictor.rate_distortion, options.folder, options.images).image
    chunks = tqdm(image.split(8), disable=None)
    found = torch.cat([distortions(predictor, chunk, options.learned_steps, options.samples) for chunk in chunks])
    falls = (found.diff(dim=1) <= RISE).all(1)
    print(
        f"{options.images} photographs, {options.size} px, {options.samples} draws, {options.learned_steps} learned steps\n"
    )
    print("| rate | " + " | ".join(f"{rate:.1%}" for rate in RATES) + " |")
    print("|---|" + "---|" * len(RATES))
    print("| distortion | " + " | ".join(f"{value:.3f}" for value in found.mean(0)) + " |")
    rises = (found.diff(dim=1) > RISE).float().mean(0)
    print("| rises up to there | |" + " | ".join(f" {value:.1%}" for value in rises) + " |")
    print(f"\nit never rises by more than {RISE:g} on {falls.float().mean():.1%} of the images")


if __name__ == "__main__":
    main()
