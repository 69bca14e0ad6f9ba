"""Does an explanation of a class show that class, and does it depend on the classifier at all?"""

import copy
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from amortex.amortized.backbone import Backbone
from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams
from amortex.explainers.base import Explainer, Explanation
from amortex.metrics import functional
from amortex.metrics.base import ImageMean, seeds_of
from amortex.rate_distortion.distortions import of_class
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion


class ClassLeakage(ImageMean):
    """Probability of a class under its own mask, and of another class b under the mask that explains b.

    Columns: ``own`` should be high, ``other`` low: the mask must not paint a class that is not there.

    Arguments:
        rd: over the transform that the explanations are over.
        samples: noise draws.
    """

    def __init__(self, rd: RateDistortion, samples: int = 64) -> None:
        super().__init__(("own", "other"))
        self.rd, self.samples = rd, samples

    def update(self, own: Explanation, other: Explanation) -> None:  # type: ignore[override]
        """Add explanations of the predicted classes and of other ones."""
        self.accumulate(self.evaluate(own, other), seeds_of(own.encoded.image))

    def evaluate(self, own: Explanation, other: Explanation) -> Tensor:
        """``(B, 2)``."""
        return torch.stack([self._probability(explanation) for explanation in (own, other)], 1)

    def _probability(self, explanation: Explanation) -> Tensor:
        encoded = explanation.encoded
        outcome = self.rd(encoded, explanation.mask, NoiseStreams.evaluation(encoded.image), self.samples)
        return of_class(outcome.probabilities, encoded.target)


def other_classes(encoded: EncodedBatch, seed: int = EVALUATION_SEED) -> Tensor:
    """A class other than the predicted one for each image, uniformly drawn, ``(B,)``."""
    classes = encoded.probabilities.shape[1]
    predicted = encoded.probabilities.argmax(1)
    seeds = NoiseStreams.of(encoded.image, seed, "other class").seeds
    shift = torch.tensor([1 + seed % (classes - 1) for seed in seeds], device=predicted.device)
    return (predicted + shift) % classes


class Sanity(ImageMean):
    """Rank correlation, within wavelet levels, of explanations before and after the classifier is randomised.

    Layers are randomised from the output on, cumulatively (Adebayo et al. 2018). One column per stage, the mean over
    levels; explanations that look at the classifier fall towards zero.

    Arguments:
        stages: names of the stages, from the output on.
    """

    def __init__(self, stages: Sequence[str]) -> None:
        super().__init__(stages)

    def update(self, original: Explanation, randomised: Sequence[Explanation]) -> None:  # type: ignore[override]
        """Add explanations by the classifier and by its randomised versions, one per stage."""
        self.accumulate(self.evaluate(original, randomised), seeds_of(original.encoded.image))

    def evaluate(self, original: Explanation, randomised: Sequence[Explanation]) -> Tensor:
        """``(B, stages)``."""
        level = original.encoded.layout.level
        columns = [functional.spearman_within_levels(original.relevance, one.relevance, level) for one in randomised]
        return torch.stack([column.nanmean(1) for column in columns], 1)


def stages(model: nn.Module, most: int = 6) -> list[list[nn.Module]]:
    """Modules with weights of their own in groups, from the output on: the last one alone, then equal parts."""
    last, *others = [m for m in model.modules() if list(m.parameters(recurse=False))][::-1]
    most = min(most, 1 + len(others))
    bounds = [round(index * len(others) / max(1, most - 1)) for index in range(most)]
    return [[last], *(others[a:b] for a, b in pairwise(bounds))]


def randomised(explainer: Explainer, most: int = 6, seed: int = 0) -> Iterator[Explainer]:
    """Copies of an explainer whose classifier is randomised one stage further each.

    The values of each weight tensor are shuffled, so that activations keep their scale where batch normalisations are
    folded. The same copy is changed and yielded again.
    """
    explainer = copy.deepcopy(explainer)
    generator = torch.Generator().manual_seed(seed)
    for stage in stages(explainer.rate_distortion.classifier.model, most):
        for module in stage:
            for weights in module.parameters(recurse=False):
                order = torch.randperm(weights.numel(), generator=generator).to(weights.device)
                weights.data = weights.data.flatten()[order].view(weights.shape)
        for module in explainer.modules():
            if isinstance(module, Backbone):
                module.read_head()
        yield explainer
