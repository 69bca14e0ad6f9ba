"""mu-fidelity: does the attribution of a set of coefficients tell what is lost without them?"""

from typing import NamedTuple

import torch
from torch import Tensor

from amortex.explainers.base import Explanation
from amortex.metrics import functional
from amortex.metrics.base import ExplanationMetric
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion


class _Measured(NamedTuple):
    """What is lost without subsets of the coefficients of a batch of images."""

    image: Tensor  # (B, C, *size)
    target: Tensor  # (B,)
    subsets: Tensor  # (B, N, k)
    drops: Tensor  # (B, N)

    def is_of(self, encoded: EncodedBatch) -> bool:
        return torch.equal(self.image, encoded.image) and torch.equal(self.target, encoded.target)


class MuFidelity(ExplanationMetric):
    """Pearson correlation, over random subsets, of the attribution in a subset and the loss of class probability.

    Column: ``mu_fidelity``. The subsets are the same for every method, so what is lost without them is measured once
    per batch of images.

    Arguments:
        rd: over the transform that the explanations are over.
        subsets: how many subsets.
        share: of the coefficients in each.

    References:
        Bhatt et al., Evaluating and Aggregating Feature-based Model Explanations, IJCAI 2020.

    >>> metric = MuFidelity(rd, subsets=8)
    >>> metric.update(explanation)
    >>> -1 <= metric.compute()["mu_fidelity"].mean <= 1
    True
    """

    def __init__(self, rd: RateDistortion, subsets: int = 128, share: float = 0.2) -> None:
        super().__init__(("mu_fidelity",))
        self.rd, self.subsets, self.share = rd, subsets, share
        self._measured: _Measured | None = None

    def evaluate(self, explanation: Explanation) -> Tensor:
        encoded, measured = explanation.encoded, self._measured
        if measured is None or not measured.is_of(encoded):
            subsets = functional.random_subsets(encoded, self.subsets, self.share)
            drops = functional.subset_drops(self.rd, encoded, subsets)
            measured = self._measured = _Measured(encoded.image, encoded.target, subsets, drops)
        return functional.mu_fidelity(explanation, measured.subsets, measured.drops)[:, None]
