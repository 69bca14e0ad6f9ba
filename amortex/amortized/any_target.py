"""Trained explainers for any class: one for predicted classes, and another for those that are not."""

import torch
from torch import Tensor

from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import Explainer, Explanation, OnStep
from amortex.rate_distortion.encoded_batch import EncodedBatch


class AnyTarget(Explainer):
    """Explains inputs whose target is predicted by one explainer, and the rest of the batch by another.

    Arguments:
        predicted: for targets that are predicted.
        other: for all others.
    """

    def __init__(self, predicted: Explainer, other: Explainer) -> None:
        super().__init__(predicted.rate_distortion, predicted.seed)
        self.predicted, self.other = predicted, other
        self.certificate_samples = predicted.certificate_samples
        self.learned_steps = getattr(other, "learned_steps", 0)

    def _start(self, image: Tensor, target: Tensor | None, on_step: OnStep) -> Explanation:
        classifier, parts = self.rate_distortion.classifier, []
        encoded = self.rate_distortion.encode(image, target)
        groups = [(self.predicted, encoded.predicted), (self.other, ~encoded.predicted)]
        chosen = [(explainer, of.nonzero()[:, 0]) for explainer, of in groups if bool(of.any())]
        for explainer, indices in chosen:
            with classifier.passes_for(indices, of=len(image)):
                part = explainer._start(image[indices], encoded.target[indices], lambda step, mask: None)
            parts.append((part.mask, part.relevance))
        places = torch.cat([indices for _, indices in chosen]).argsort()
        mask, relevance = (torch.cat(values)[places] for values in zip(*parts, strict=True))
        on_step(1, mask)
        return Explanation(encoded, mask, relevance)

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        raise NotImplementedError("amortized explainers start from inputs, whose features they need")

    def for_target(self) -> Explainer:
        return self

    def settings(self) -> dict[str, str | int | float]:
        """Those of both; where they differ, those for other targets under names of their own."""
        settings, other = self.predicted.settings(), self.other.settings()
        return settings | {f"other_{name}": value for name, value in other.items() if settings.get(name) != value}
