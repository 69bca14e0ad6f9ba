"""CartoonX steps over the classifier's bare work, under the amortex of any version.

Not a benchmark by itself: `teachers` measures its rows with it, and `against` runs it under two checkouts.
"""

import resource
from functools import partial

import torch
from torch import nn

from benchmarks.timing import Comparison, forward_backward, images, repeated, side_by_side, timm_network

try:
    from amortex.classifiers.classifier import Classifier
    from amortex.classifiers.loading import load_classifier
    from amortex.core.process import prepare
    from amortex.explainers.presets import Preset
    from amortex.explainers.rde import RDE
    from amortex.rate_distortion.pipeline import RateDistortion
except ImportError:  # version 0.1 had no folders
    from amortex.process import prepare  # type: ignore

    from amortex.classifiers import Classifier, load_classifier  # type: ignore
    from amortex.explainers import RDE, Preset  # type: ignore
    from amortex.rate_distortion import RateDistortion  # type: ignore

CLASSIFIER = "tf_efficientnet_lite0"
DRAWS = 16


def cartoonx_steps(classifier: Classifier, model: nn.Module, size: int, repeats: int, steps: int) -> Comparison:
    """`steps` CartoonX steps with L = 16 on one image, over as many passes of `model` on 16 images."""
    image, inputs = torch.rand(1, 3, size, size), images(DRAWS, size)
    explainer = RDE(RateDistortion(classifier), preset=Preset("benchmark", steps, DRAWS, 1e-3, "constant"))
    passes = repeated(partial(forward_backward, model, inputs), steps)
    return side_by_side(lambda: explainer.explain(image), passes, repeats)


def step_ratio(size: int, repeats: int, steps: int = 8) -> float:
    """A CartoonX step over the bare work of timm's network."""
    prepare()
    torch.manual_seed(0)
    classifier = load_classifier(CLASSIFIER, "random")
    return cartoonx_steps(classifier, timm_network(CLASSIFIER), size, repeats, steps).ratio


def peak_memory(samples: int, size: int) -> float:
    """Peak resident memory of this process in MiB, after two CartoonX steps with `samples` draws in chunks of 16."""
    prepare()
    rd = RateDistortion(load_classifier(), internal_batch_size=DRAWS)
    RDE(rd, preset=Preset("memory", 2, samples, 1e-3, "constant")).explain(torch.rand(1, 3, size, size))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
