"""What a trained explainer costs, over the bare work of the classifier that it explains, side by side in one run.

    python benchmarks/cost.py

Rows: class, mask and picture from one call over one forward pass of the network alone, for one image and for 32; each
CartoonX step that refines a predicted mask (L = 2) over the classifier work in it; a training step over the classifier
work that its variant needs (features: one forward, and forward and backward for each of two masks; informed: one
forward and backward more);
CartoonX (`--steps` of 2000 steps timed, L = 16) over one pass. The bare work is that of timm's own network, and once
more that of the network as amortex runs it, its batch normalisations folded. Weights are random: times do not depend
on them.
"""

import argparse

import torch
from timing import Work, forward, forward_backward, machine, show, side_by_side, timm_network
from torch import nn

from amortex.amortized.explainer import Amortized
from amortex.core.process import prepare
from amortex.explainers.base import picture
from amortex.explainers.presets import Preset
from amortex.explainers.rde import RDE
from amortex.training.module import AmortizedTrainingModule

CARTOONX_STEPS = 2000


def images(count: int, size: int) -> torch.Tensor:
    return torch.rand(count, 3, size, size).contiguous(memory_format=torch.channels_last)


def one_pass(explainer: Amortized, inputs: torch.Tensor) -> Work:
    """Class probabilities, masks and pictures of the explanations."""
    return lambda: picture(explainer.rate_distortion, explainer.explain(inputs))


def training_step(module: AmortizedTrainingModule, inputs: torch.Tensor) -> Work:
    """All that Lightning calls in a step, without Lightning."""
    optimizer = torch.optim.AdamW(module.predictor.decoder.parameters(), lr=1e-4)
    numbers = list(range(len(inputs)))

    def step() -> None:
        module.objective(inputs, numbers, done=0.5, step=0)[0].backward()
        module.limit_gradient()
        optimizer.step()
        optimizer.zero_grad()
        module.on_train_batch_end()

    return step


def training_work(model: nn.Module, inputs: torch.Tensor, masks: int, informed: bool) -> Work:
    obfuscated = inputs.repeat(masks, 1, 1, 1).contiguous(memory_format=torch.channels_last)

    def work() -> None:
        forward(model, inputs)
        forward_backward(model, obfuscated.clone())
        if informed:
            forward_backward(model, inputs.clone())

    return work


def explanations(explainer: Amortized, model: nn.Module, variant: str, bare: str, size: int, repeats: int) -> None:
    for count in (1, 32):
        inputs = images(count, size)
        row = side_by_side(one_pass(explainer, inputs), lambda inputs=inputs: forward(model, inputs), repeats)
        show(f"{variant}: explain {count}, over a forward pass of {bare}", row)


def refinement(explainer: Amortized, model: nn.Module, bare: str, size: int, steps: int = 10) -> None:
    one, two = images(1, size), images(2, size)
    refined = Amortized(explainer.predictor, finetune_steps=steps)
    row = side_by_side(
        lambda: refined.explain(one), lambda: [forward_backward(model, two) for _ in range(steps)], repeats=3
    )
    first = side_by_side(lambda: explainer.explain(one), lambda: None, repeats=3)[0]
    show(
        f"one refinement step, L = 2, over {bare}",
        ((row[0] - first) / steps, row[1] / steps, (row[0] - first) / row[1]),
    )


def teacher(explainer: Amortized, variant: str, size: int, steps: int) -> None:
    one = images(1, size)
    cartoonx = RDE(explainer.rate_distortion, preset=Preset("benchmark", steps, 16, 1e-3, "constant"))
    some, single, _ = side_by_side(lambda: cartoonx.explain(one), one_pass(explainer, one), repeats=2)
    whole = some / steps * CARTOONX_STEPS
    show(f"CartoonX, {CARTOONX_STEPS} steps, L = 16, over one pass, {variant}", (whole, single, whole / single))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classifier", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=224, help="of the images that are explained")
    parser.add_argument("--train-size", type=int, default=128, help="of the images in a training step, a batch of 8")
    parser.add_argument("--steps", type=int, default=20, help="of CartoonX that are timed")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    prepare()
    torch.manual_seed(0)
    print(f"{machine()}\n{options.size} px, training {options.train_size} px, {options.repeats} alternating repeats\n")
    print("| work | ours (ms) | bare (ms) | ratio |\n|---|---|---|---|")
    for informed in (False, True):
        variant = "informed" if informed else "features"
        module = AmortizedTrainingModule(options.classifier, "random", input_size=options.train_size, gradient=informed)
        explainer = Amortized(module.predictor)
        folded = explainer.rate_distortion.classifier.model
        for bare, model in (("timm's", timm_network(options.classifier)), ("folded", folded)):
            explanations(explainer, model, variant, bare, options.size, options.repeats)
            inputs = images(8, options.train_size)
            ours, work = training_step(module, inputs), training_work(model, inputs, module.settings.masks, informed)
            show(f"{variant}: training step of 8, over {bare}", side_by_side(ours, work, options.repeats))
            if informed:
                refinement(explainer, model, bare, options.size)
        teacher(explainer, variant, options.size, options.steps)


if __name__ == "__main__":
    main()
