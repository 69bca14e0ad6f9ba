"""Speed of the teachers over the classifier's bare work, side by side in one run; and peak memory.

    python benchmarks/teachers.py

Each row alternates the two timed pieces of work `--repeats` times and prints the median of the ratios. The bare work
is that of timm's own network, and once more that of the network as amortex runs it, its batch normalisations folded:
there, 1 would mean that obfuscation, noise, transform and optimiser cost nothing.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable

import torch
from timing import forward_backward, machine, show, side_by_side, timm_network
from torch import nn

from amortex.classifiers.classifier import Classifier, load_classifier
from amortex.core.process import prepare
from amortex.explainers.presets import Preset
from amortex.explainers.rde import RDE
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion


def cartoonx(
    classifier: Classifier, model: nn.Module, size: int, repeats: int, steps: int = 8
) -> tuple[float, float, float]:
    """`steps` CartoonX steps with L = 16 on one image, over as many passes of `model` on 16 images."""
    image = torch.rand(1, 3, size, size)
    rd = RateDistortion(classifier)
    inputs = torch.rand(16, 3, size, size).contiguous(memory_format=torch.channels_last)

    def run(count: int) -> Callable[[], object]:
        explainer = RDE(rd, preset=Preset("benchmark", count, 16, 1e-3, "constant"))
        return lambda: explainer.explain(image)

    return side_by_side(run(steps), lambda: [forward_backward(model, inputs) for _ in range(steps)], repeats)


def wam_sg(classifier: Classifier, model: nn.Module, size: int, repeats: int) -> tuple[float, float, float]:
    """WAM-SG with n = 25 on 8 images, over 25 passes on 8 images."""
    images = torch.rand(8, 3, size, size)
    explainer = WAM(RateDistortion(classifier, internal_batch_size=8), "smoothgrad", samples=25)
    inputs = images.contiguous(memory_format=torch.channels_last)
    return side_by_side(
        lambda: explainer.explain(images), lambda: [forward_backward(model, inputs) for _ in range(25)], repeats
    )


def peak_memory(samples: int, size: int) -> float:
    """Peak resident memory in MiB of a fresh process that makes two steps with `samples` draws in chunks of 16."""
    code = (
        "import resource, sys, torch; from amortex.classifiers.classifier import load_classifier;"
        "from amortex.core.process import prepare; prepare();"
        "from amortex.explainers import RDE, Preset; from amortex.rate_distortion.pipeline import RateDistortion;"
        f"rd = RateDistortion(load_classifier(), internal_batch_size=16);"
        f"RDE(rd, preset=Preset('memory', 2, {samples}, 1e-3, 'constant')).explain(torch.rand(1, 3, {size}, {size}));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    prepare()
    torch.manual_seed(0)
    print(machine())
    print(f"{options.size} px, median of {options.repeats} alternating repeats\n")
    print("| work | ours (ms) | bare (ms) | ratio |\n|---|---|---|---|")
    for name in ("tf_efficientnet_lite0", "mobilenetv3_small_100"):
        classifier = load_classifier(name, "random")
        for bare, model in (("timm's", timm_network(name)), ("folded", classifier.model)):
            row = cartoonx(classifier, model, options.size, options.repeats)
            show(f"CartoonX, 8 steps, L = 16, {name}, over {bare}", row)
    classifier = load_classifier("tf_efficientnet_lite0", "random")
    for bare, model in (("timm's", timm_network("tf_efficientnet_lite0")), ("folded", classifier.model)):
        row = wam_sg(classifier, model, options.size, max(1, options.repeats // 2))
        show(f"WAM-SG, n = 25, 8 images, tf_efficientnet_lite0, over {bare}", row)
    few, many = peak_memory(16, options.size), peak_memory(64, options.size)
    print(f"\npeak memory: L = 16 {few:.0f} MiB, L = 64 {many:.0f} MiB, ratio {many / few:.2f}")


if __name__ == "__main__":
    main()
