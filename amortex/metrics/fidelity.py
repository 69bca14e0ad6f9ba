"""mu-fidelity: does the attribution of a set of coefficients tell what is lost without them?"""

import torch
from torch import Tensor

from amortex.explainers.base import Explanation
from amortex.metrics import functional
from amortex.metrics.base import ExplanationMetric
from amortex.rate_distortion.pipeline import RateDistortion


class MuFidelity(ExplanationMetric):
    """Pearson correlation over random subsets of the attribution in a subset and the loss of class probability.

    The correlation alone. The subsets are the same for every method, so what is lost is measured once per batch of
    images.

    Arguments:
        rd: over the transform that the explanations are over.
        subsets: how many subsets.
        share: of the coefficients in each.
    """

    def __init__(self, rd: RateDistortion, subsets: int = 128, share: float = 0.2) -> None:
        super().__init__(("mu_fidelity",))
        self.rd, self.subsets, self.share = rd, subsets, share
        self._known: tuple[Tensor, Tensor, Tensor, Tensor] | None = None

    def evaluate(self, explanation: Explanation) -> Tensor:
        encoded = explanation.encoded
        known = self._known
        if known is None or not torch.equal(known[0], encoded.image) or not torch.equal(known[1], encoded.target):
            chosen = functional.subsets(encoded, self.subsets, self.share)
            drops = functional.subset_drops(self.rd, encoded, chosen)
            known = self._known = (encoded.image, encoded.target, chosen, drops)
        return functional.mu_fidelity(explanation, *known[2:])[:, None]
