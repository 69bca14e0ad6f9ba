"""Does an explanation of a class show that class, and does it depend on the classifier at all?"""

from collections.abc import Sequence

import torch
from torch import Tensor

from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams
from amortex.explainers.base import Explanation
from amortex.metrics import functional
from amortex.metrics.base import ImageMean, bootstrap_seeds
from amortex.rate_distortion.distortions import of_class
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion


class ClassLeakage(ImageMean):
    """Probability of the predicted class under its mask, and of another class under the mask that explains that.

    Columns: ``own`` should be high, and ``other`` low, because a mask must not paint a class that is not there.

    Arguments:
        rd: over the transform that the explanations are over.
        samples: noise draws.

    >>> metric = ClassLeakage(rd, samples=2)
    >>> target = other_classes(explanation.encoded)
    >>> metric.update(explanation, explainer.explain(explanation.encoded.image, target))
    >>> list(metric.compute())
    ['own', 'other']
    """

    def __init__(self, rd: RateDistortion, samples: int = 64) -> None:
        super().__init__(("own", "other"))
        self.rd, self.samples = rd, samples

    def update(self, predicted: Explanation, alternative: Explanation) -> None:  # type: ignore[override]
        """Add explanations of the predicted classes and of other ones."""
        self.accumulate(self.evaluate(predicted, alternative), bootstrap_seeds(predicted.encoded.image))

    def evaluate(self, predicted: Explanation, alternative: Explanation) -> Tensor:
        """``(B, 2)``."""
        columns = []
        for explanation in (predicted, alternative):
            output = functional.mean_output(self.rd, explanation, self.samples)
            columns.append(of_class(output, explanation.encoded.target))
        return torch.stack(columns, 1)


def other_classes(encoded: EncodedBatch, seed: int = EVALUATION_SEED) -> Tensor:
    """A class other than the predicted one for each image, uniformly drawn, ``(B,)``."""
    classes = encoded.probabilities.shape[1]
    predicted = encoded.probabilities.argmax(1)
    seeds = NoiseStreams.of(encoded.image, seed, "other class").seeds
    shift = torch.tensor([1 + seed % (classes - 1) for seed in seeds], device=predicted.device)
    return (predicted + shift) % classes


class Sanity(ImageMean):
    """Rank correlation, within the levels of the transform, of explanations before and after randomisation.

    Layers of the classifier are randomised from the output on, cumulatively (Adebayo et al. 2018; see
    `cascading_randomisation`). One column per stage, the mean over levels. Explanations that look at the classifier
    fall towards zero.

    Arguments:
        stages: names of the stages, from the output on.

    >>> metric = Sanity(["unchanged"])
    >>> metric.update(explanation, [explanation])
    >>> round(metric.compute()["unchanged"].mean, 3)
    1.0
    """

    def __init__(self, stages: Sequence[str]) -> None:
        super().__init__(stages)

    def update(self, original: Explanation, randomised: Sequence[Explanation]) -> None:  # type: ignore[override]
        """Add explanations by the classifier and by its randomised versions, one per stage."""
        self.accumulate(self.evaluate(original, randomised), bootstrap_seeds(original.encoded.image))

    def evaluate(self, original: Explanation, randomised: Sequence[Explanation]) -> Tensor:
        """``(B, stages)``."""
        level, live = original.encoded.layout.level, original.encoded.live
        columns = []
        for explanation in randomised:
            correlation = functional.spearman_within_levels(original.relevance, explanation.relevance, level, live)
            columns.append(correlation.nanmean(1))
        return torch.stack(columns, 1)
