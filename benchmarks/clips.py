"""How much CartoonX keeps of clips, whether the class survives, and whether the digit that moves is what it keeps.

`energy on the moving digit` is the share of the squares of what the mask keeps that lies on voxels of the moving digit.
The other digit, which stands still, has about as much energy; the share in the whole clip stands beside.
"""

import argparse

import torch
from torch import Tensor

from amortex.core.process import prepare
from amortex.data.moving_digits import MovingDigits
from amortex.explainers import build_explainer
from amortex.metrics import ImageMean, bootstrap_seeds
from amortex.metrics.functional import kept_signal
from amortex.rate_distortion.problem import Problem
from benchmarks.quality import evaluate

COLUMNS = ("rate", "distortion", "class retained", "energy on the moving digit", "the same of the whole clip",
           "direction recognised")  # fmt: skip


def main(options: argparse.Namespace) -> None:
    """Print the mean of each column, with a 95 % bootstrap interval over clips."""
    prepare()
    rd, source = Problem(classifier="moving_digits").build(), MovingDigits("validation")
    explainer = build_explainer("cartoonx", rd, lambda_k=options.lambda_k, preset=options.preset)
    means = ImageMean(COLUMNS)
    for indices in torch.arange(options.clips).split(options.batch_size):
        clips = torch.stack([source.open(int(index)) for index in indices])
        moving = torch.stack([source.moving(int(index)) for index in indices])
        labels = torch.tensor([source.label(int(index)) for index in indices])
        explanation = explainer.explain(clips)
        encoded = explanation.encoded
        measured = evaluate(rd, encoded, explanation.mask)
        kept = kept_signal(rd, encoded, explanation.mask)
        values = (measured.rate, measured.distortion, measured.retained, energy_share(kept, moving),
                  energy_share(clips, moving), encoded.target == labels)  # fmt: skip
        means.update(torch.stack([value.double() for value in values], 1), bootstrap_seeds(clips))
    print(f"CartoonX {options.preset}, lambda_k = {options.lambda_k:g}, {options.clips} clips")
    for name, interval in means.compute().items():
        print(f"{name:<28} {interval}", flush=True)


def energy_share(clips: Tensor, moving: Tensor) -> Tensor:
    """Share ``(B,)`` of the energy of clips ``(B, C, T, H, W)`` that lies where `moving` ``(B, T, H, W)`` is true."""
    energy = clips.square().sum(1)
    return (energy * moving).flatten(1).sum(1) / energy.flatten(1).sum(1)
