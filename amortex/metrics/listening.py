"""What is heard of a sound, or seen of an image or volume, if only what an explanation keeps is left."""

from collections.abc import Sequence

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.explainers.base import Explanation, check_share
from amortex.metrics import functional
from amortex.metrics.base import ExplanationMetric, ImageMean, bootstrap_seeds
from amortex.rate_distortion.pipeline import RateDistortion

MASK = "mask"  # what stands behind @ in the columns of masks as they are
HALF = 0.5  # of the entries: what WAM keeps in its figures on sound


class MaskedIn(ExplanationMetric):
    """FF, Fid-In, AI, AD and AG: the class on what is kept alone, and without it.

    Columns: those of `functional.masked_in` and what is kept: ``ff@0.5``, ... for the most relevant half, or
    ``ff@mask``, ... for the mask as it is. FF is the median over signals, the others are means. Low AD is better, the
    others are better high.

    Arguments:
        rd: over the transform that the explanations are over.
        share: of the entries that are kept; None keeps what the mask does.

    Raises:
        InputError: a share outside (0, 1].

    >>> metric = MaskedIn(rd, share=1.0)
    >>> metric.update(explanation)
    >>> print(metric.compute()["fid_in@1"])
    1.000 [1.000, 1.000]
    """

    def __init__(self, rd: RateDistortion, share: float | None = HALF) -> None:
        kept = _kept_name(share if share is None else check_share(share, "share"))
        columns = [f"{name}@{kept}" for name in functional.MASKED_IN_MEASURES]
        super().__init__(columns, medians=[f"ff@{kept}"])
        self.rd, self.share = rd, share

    def evaluate(self, explanation: Explanation) -> Tensor:
        values = functional.masked_in(self.rd, explanation.encoded, _kept_mask(explanation, self.share))
        return torch.stack(list(values.values()), 1)


class Separation(ImageMean):
    """What explanations of mixtures keep of the target, and what of the corruption.

    Columns: those of `functional.separation` for the most relevant shares and for the mask: ``target_energy@0.05``,
    ..., ``target_energy@mask``, ...

    Arguments:
        rd: over the transform that the explanations are over.
        shares: of the entries that are kept.

    Raises:
        InputError: the transform is not linear, so what is kept of a mixture is no sum.

    >>> metric = Separation(rd, shares=(0.1,))
    >>> metric.update(explanation, explanation.encoded.image)  # without corruption
    >>> print(metric.compute()["target_energy@0.1"])
    1.000 [1.000, 1.000]
    """

    def __init__(self, rd: RateDistortion, shares: Sequence[float] = (0.05, 0.1, 0.2)) -> None:
        kept = (*(check_share(share, "share") for share in shares), None)
        columns = [f"{name}@{_kept_name(share)}" for name in functional.SEPARATION_MEASURES for share in kept]
        super().__init__(columns)
        if not rd.transform.linear:
            raise InputError(f"{type(rd.transform).__name__} is not linear: what masks keep of a mixture is no sum")
        self.rd, self.shares = rd, kept

    def update(self, explanation: Explanation, target: Tensor) -> None:  # type: ignore[override]
        """Add explanations of mixtures, and the targets ``(B, C, *size)`` in them."""
        self.accumulate(self.evaluate(explanation, target), bootstrap_seeds(explanation.encoded.image))

    def evaluate(self, explanation: Explanation, target: Tensor) -> Tensor:
        """``(B, columns)``."""
        masks = [_kept_mask(explanation, share) for share in self.shares]
        parts = [functional.separation(self.rd, explanation.encoded, mask, target) for mask in masks]
        return torch.stack([part[name] for name in functional.SEPARATION_MEASURES for part in parts], 1)


def _kept_name(share: float | None) -> str:
    return MASK if share is None else f"{share:g}"


def _kept_mask(explanation: Explanation, share: float | None) -> Tensor:
    return explanation.mask if share is None else functional.top_mask(explanation, share)
