"""What a trained explainer and its training cost, over the classifier's bare work, side by side in one run.

    python -m benchmarks cost

Behind the ratios of docs/results.md, Speed, Explaining and Training. Rows: class, mask and picture from one call over
one forward pass of the network alone, for one image and for 32; a CartoonX step that refines a predicted mask (L = 2)
over the passes in it; a training step over the passes that its variant needs (features: one forward, and forward and
backward for each of two masks; informed by a gradient: one forward and backward more); CartoonX with 2000 steps, of
which `--steps` are timed, and L = 16 over one pass. The bare work is that of timm's own network, and once more that of
the network as amortex runs it, its batch normalisations folded. Weights are random: times do not depend on them.
"""

import argparse
from functools import partial

import torch
from torch import Tensor, nn

from amortex.amortized.config import PredictorConfig
from amortex.amortized.explainer import Amortized
from amortex.core.process import prepare
from amortex.explainers.base import picture
from amortex.explainers.presets import Preset
from amortex.explainers.rde import RDE
from amortex.rate_distortion.problem import Problem
from amortex.training.config import ObjectiveConfig
from amortex.training.module import AmortizedTrainingModule
from benchmarks.timing import (
    Comparison,
    Work,
    compare,
    forward,
    forward_backward,
    images,
    machine,
    print_header,
    print_row,
    repeated,
    seconds,
    side_by_side,
    timm_network,
    training_passes,
)
from benchmarks.training import Loss, training_step

CARTOONX_STEPS = 2000
CARTOONX_REPEATS = 3


def main(options: argparse.Namespace) -> None:
    prepare()
    torch.manual_seed(0)
    print(f"{machine()}\n{options.size} px, training {options.train_size} px, {options.repeats} alternating repeats\n")
    print_header()
    problem = Problem(options.classifier, "random", input_size=options.train_size, internal_batch_size=64)
    for informed in (False, True):
        variant = "informed" if informed else "features"
        module = AmortizedTrainingModule(problem, PredictorConfig(gradient=informed))
        explainer = Amortized(module.predictor)
        folded = explainer.rate_distortion.classifier.model
        for bare, model in (("timm's", timm_network(options.classifier)), ("folded", folded)):
            explanations(explainer, model, variant, bare, options.size, options.repeats)
            inputs = images(8, options.train_size)
            step = training_step(module, Loss(module), inputs)
            passes = training_passes(model, inputs, ObjectiveConfig().masks, informed)
            print_row(f"{variant}: training step of 8, over {bare}", side_by_side(step, passes, options.repeats))
            if informed:
                refinement(explainer, model, bare, options.size, options.repeats)
        teacher(explainer, variant, options.size, options.steps)


def one_pass(explainer: Amortized, inputs: Tensor) -> Work:
    """Class probabilities, masks and pictures of the explanations."""
    return lambda: picture(explainer.rate_distortion, explainer.explain(inputs))


def explanations(explainer: Amortized, model: nn.Module, variant: str, bare: str, size: int, repeats: int) -> None:
    for count in (1, 32):
        inputs = images(count, size)
        row = side_by_side(one_pass(explainer, inputs), partial(forward, model, inputs), repeats)
        print_row(f"{variant}: explain {count}, over a forward pass of {bare}", row)


def refinement(explainer: Amortized, model: nn.Module, bare: str, size: int, repeats: int, steps: int = 10) -> None:
    """A CartoonX step: what an explanation takes longer with `steps` of them, divided by their number."""
    image, draws = images(1, size), images(2, size)
    refined = Amortized(explainer.predictor, finetune_steps=steps)
    passes = repeated(partial(forward_backward, model, draws), steps)
    whole, first = (partial(each.explain, image) for each in (refined, explainer))
    whole(), first(), passes()
    times = [((seconds(whole) - seconds(first)) / steps, seconds(passes) / steps) for _ in range(repeats)]
    print_row(f"one refinement step, L = 2, over {bare}", compare(times))


def teacher(explainer: Amortized, variant: str, size: int, steps: int) -> None:
    image = images(1, size)
    cartoonx = RDE(explainer.rate_distortion, preset=Preset("benchmark", steps, 16, 1e-3, "constant"))
    timed = side_by_side(partial(cartoonx.explain, image), one_pass(explainer, image), CARTOONX_REPEATS)
    scale = CARTOONX_STEPS / steps
    row = Comparison(timed.seconds * scale, timed.bare_seconds, *(ratio * scale for ratio in timed[2:]))
    name = f"CartoonX, {CARTOONX_STEPS} steps, L = 16, over one pass, {variant} ({CARTOONX_REPEATS} repeats)"
    print_row(name, row)
