"""Whether a higher rate ever costs: distortion of an explainer's masks over nine rates, on the same draws.

    python -m benchmarks monotone FOLDER --images 500

Behind docs/results.md, Monotone distortion, and the same share in amortex/assets/CARD.md. A rise of up to 0.01 from
one rate to the next does not count: distortions are means over draws, and with few draws their noise is of that size.
"""

import argparse

import torch
from torch import Tensor
from tqdm import tqdm

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.config import PathConfig
from amortex.amortized.mask_path import MaskPath
from amortex.amortized.predictor import MaskPredictor
from amortex.amortized.released import released
from amortex.classifiers.default import DEFAULT_CLASSIFIER
from amortex.core.noise_streams import NoiseStreams
from amortex.core.process import prepare
from amortex.rate_distortion.intervals import clopper_pearson
from benchmarks.quality import curves, photographs

RATES = (0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
RISE = 0.01
REFINED_LAMBDA_K = 5.0  # of the refined masks


def distortions(
    predictor: MaskPredictor, image: Tensor, learned_steps: int, samples: int, config: PathConfig
) -> tuple[Tensor, Tensor]:
    """``(B, R)``, of images ``(B, C, H, W)`` at `RATES`, and the classifier passes ``(B,)`` of their masks."""
    with predictor.rate_distortion.classifier.count_passes(len(image)) as counter:
        prediction, refined = predictor(image), None
        if learned_steps:
            streams = NoiseStreams.of(image, stream="refine")
            refined = predictor.refine(prediction, REFINED_LAMBDA_K, learned_steps, streams)
        path = MaskPath(predictor, prediction, refined, hard=False, config=config)
        masks = [path.mask(image.new_full((len(image),), rate)) for rate in RATES]
    return curves(predictor.rate_distortion, prediction.encoded, masks, samples, "monotone"), counter.per_image


@torch.no_grad()
def main(options: argparse.Namespace) -> None:
    prepare()
    release = options.explainer or released(DEFAULT_CLASSIFIER)
    assert release is not None, "amortex comes with an explainer for its default classifier"
    predictor = load_predictor(release, input_size=options.size, internal_batch_size=64)
    learned_steps = predictor.schedule.default_steps if options.learned_steps is None else options.learned_steps
    image = photographs(predictor.rate_distortion, options.folder, options.images).image
    config = PathConfig(learned_steps=0) if options.adam else PathConfig()
    chunks = tqdm(image.split(8), disable=None)
    measured = [distortions(predictor, chunk, learned_steps, options.samples, config) for chunk in chunks]
    distortion, passes = map(torch.cat, zip(*measured, strict=True))
    rises = distortion.diff(dim=1) > RISE
    print(f"{options.images} photographs, {options.size} px, {options.samples} draws, "
          f"{learned_steps} learned steps\n")  # fmt: skip
    print("| rate | " + " | ".join(f"{rate:.1%}" for rate in RATES) + " |")
    print("|---|" + "---|" * len(RATES))
    print("| distortion | " + " | ".join(f"{value:.3f}" for value in distortion.mean(0)) + " |")
    print("| rises up to there | |" + " | ".join(f" {value:.1%}" for value in rises.float().mean(0)) + " |")
    monotone = (~rises.any(1)).sum()
    share, (low, high) = monotone / len(rises), clopper_pearson(monotone[None], len(rises))
    print(f"\nit never rises by more than {RISE:g} on {share:.1%} [{low.item():.1%}, {high.item():.1%}] of the images; "
          f"masks take {passes.mean():.0f} classifier passes, {passes.min():.0f} to {passes.max():.0f}")  # fmt: skip
