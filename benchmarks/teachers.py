"""Speed of the exact explainers over the classifier's bare work, side by side in one run, and their peak memory.

    python -m benchmarks teachers --repeats 5

Behind docs/results.md, Speed, Exact methods. Each row times amortex and the bare work in turn, and prints the median
of the ratios. The bare work is that of timm's own network, and once more that of the network as amortex runs it, its
batch normalisations folded: there, 1 would mean that obfuscation, noise, transform and optimiser cost nothing.
"""

import argparse
from functools import partial

import torch
from torch import nn

from amortex.classifiers.classifier import Classifier
from amortex.classifiers.loading import load_classifier
from amortex.core.process import prepare
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion
from benchmarks.cartoonx_step import cartoonx_steps
from benchmarks.processes import ROOT, number, under
from benchmarks.timing import (
    Comparison,
    forward_backward,
    images,
    machine,
    print_header,
    print_row,
    repeated,
    side_by_side,
    timm_network,
)

STEPS = 8


def main(options: argparse.Namespace) -> None:
    prepare()
    torch.manual_seed(0)
    print(f"{machine()}\n{options.size} px, median of {options.repeats} alternating repeats\n")
    print_header()
    for name in ("tf_efficientnet_lite0", "mobilenetv3_small_100"):
        classifier = load_classifier(name, "random")
        for bare, model in (("timm's", timm_network(name)), ("folded", classifier.model)):
            row = cartoonx_steps(classifier, model, options.size, options.repeats, STEPS)
            print_row(f"CartoonX, {STEPS} steps, L = 16, {name}, over {bare}", row)
    classifier = load_classifier("tf_efficientnet_lite0", "random")
    for bare, model in (("timm's", timm_network("tf_efficientnet_lite0")), ("folded", classifier.model)):
        row = wam_sg(classifier, model, options.size, max(1, options.repeats // 2))
        print_row(f"WAM-SG, n = 25, 8 images, tf_efficientnet_lite0, over {bare}", row)
    few, many = peak_memory(16, options.size), peak_memory(64, options.size)
    print(f"\npeak memory: L = 16 {few:.0f} MiB, L = 64 {many:.0f} MiB, ratio {many / few:.2f}")


def wam_sg(classifier: Classifier, model: nn.Module, size: int, repeats: int) -> Comparison:
    """WAM-SG with n = 25 on 8 images, over 25 passes on 8 images."""
    pixels, inputs = torch.rand(8, 3, size, size), images(8, size)
    explainer = WAM(RateDistortion(classifier, internal_batch_size=8), "smoothgrad", samples=25)
    passes = repeated(partial(forward_backward, model, inputs), 25)
    return side_by_side(lambda: explainer.explain(pixels), passes, repeats)


def peak_memory(samples: int, size: int) -> float:
    """Peak resident memory in MiB of a fresh process that makes two steps with `samples` draws in chunks of 16."""
    code = f"from benchmarks.cartoonx_step import peak_memory; print(peak_memory({samples}, {size}))"
    return number(under(ROOT, code))
