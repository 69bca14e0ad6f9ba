"""Amortized against exact: the gap in the objective, the break-even in images, and what explanations take."""

from collections.abc import Sequence

import torch
from torch import Tensor

from amortex.metrics import functional
from amortex.metrics.base import ImageMean, Interval, ratio_interval

HISTOGRAM_DECADES, HISTOGRAM_BINS = 3, 6000  # ratios from 1e-3 to 1e3, in bins 0.23 % wide


class AmortizationGap(ImageMean):
    """Mean J of a method over mean J of the teacher, over images and lambda_k; 1 is as good as the teacher.

    ``compute`` gives ``gap``, its interval by the bootstrap over images, and ``median_ratio``, the median over images
    and lambda_k of the ratio. The median has no interval and is exact to a quarter of a percent: it is read off a
    histogram, which, unlike a list of all ratios, can be summed across devices.

    >>> metric = AmortizationGap()
    >>> metric.update(torch.tensor([[0.2], [0.6]]), torch.tensor([[0.1], [0.3]]), seeds=[1, 2])
    >>> print(f"{metric.compute()['gap'].mean:.3f}")
    2.000
    """

    histogram: Tensor

    def __init__(self) -> None:
        super().__init__(("method", "teacher"))
        self.add_state("histogram", torch.zeros(HISTOGRAM_BINS, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, objective: Tensor, teacher: Tensor, seeds: Sequence[int]) -> None:  # type: ignore[override]
        """Add J of the method and of the teacher, ``(B, lambdas)`` each."""
        self.accumulate(functional.complete_pairs(objective.mean(1), teacher.mean(1)), seeds)
        ratios = objective / teacher  # an image that lacks one of them counts for nothing, as in the gap
        decades = ratios[ratios.isfinite().all(1)].flatten().log10() + HISTOGRAM_DECADES
        bins = (decades / (2 * HISTOGRAM_DECADES) * HISTOGRAM_BINS).long().clamp(0, HISTOGRAM_BINS - 1)
        self.histogram += torch.bincount(bins, minlength=HISTOGRAM_BINS).to(self.histogram)

    def compute(self) -> dict[str, Interval]:
        """``gap`` and ``median_ratio``."""
        gap = ratio_interval(self.total[:, 0], self.total[:, 1], int(self.weight[0, 0]))
        counts, half = self.histogram.cumsum(0), self.histogram.sum() / 2
        # the two middle ratios, which are one unless their number is even
        middle = torch.stack([torch.searchsorted(counts, half, right=upper) for upper in (False, True)])
        decades = (middle + 0.5) / HISTOGRAM_BINS * 2 * HISTOGRAM_DECADES - HISTOGRAM_DECADES
        median = (10**decades).mean().item() if half else torch.nan
        return {"gap": gap, "median_ratio": Interval(median, torch.nan, torch.nan, gap.images)}

    def replicates(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Of J of the method alone, as ``gap``: the teacher's, which divides it, is the same for all methods."""
        with self.sync_context():
            return {"gap": (self.total[:, 0] / self.weight[:, 0], self.weight[:, 0])}


class BreakEven(ImageMean):
    """After how many images training has paid for itself: training time over the mean time saved per image.

    ``compute`` gives ``images``.

    Arguments:
        training_seconds: what training the explainer took.

    >>> metric = BreakEven(training_seconds=100.0)
    >>> metric.update(torch.tensor([11.0, 11.0]), torch.tensor([1.0, 1.0]), seeds=[1, 2])
    >>> metric.compute()["images"].mean
    10.0
    """

    def __init__(self, training_seconds: float) -> None:
        super().__init__(("teacher", "amortized"))
        self.training_seconds = training_seconds

    def update(self, teacher: Tensor, amortized: Tensor, seeds: Sequence[int]) -> None:  # type: ignore[override]
        """Add seconds per image of both, ``(B,)`` each."""
        self.accumulate(functional.complete_pairs(teacher, amortized), seeds)

    def compute(self) -> dict[str, Interval]:
        """``images``."""
        means = self.total / self.weight
        images = functional.break_even(self.training_seconds, means[:, 0], means[:, 1])
        count, replicates = int(self.weight[0, 0]), images[1:][self.weight[1:, 0] > 0]
        low, high = torch.nan, torch.nan
        if count > 1:
            # the nearest replicates: some may never break even, and nothing can be interpolated between infinities
            quantiles, finite_or_never = means.new_tensor([0.025, 0.975]), replicates.nan_to_num(torch.inf, torch.inf)
            low, high = finite_or_never.quantile(quantiles, interpolation="nearest").tolist()
        return {"images": Interval(images[0].item(), low, high, count)}


class ExplanationTime(ImageMean):
    """Seconds and classifier passes per explanation: a forward pass is 1, forward and backward 3.

    Columns: ``seconds``, ``passes``.

    >>> with classifier.count_passes(images=3) as counter:
    ...     _ = explainer.explain(explanation.encoded.image)
    >>> metric = ExplanationTime()
    >>> metric.update(torch.tensor([0.1, 0.1, 0.1]), counter.per_image, seeds=[1, 2, 3])
    >>> metric.compute()["passes"].mean  # one for the class, three for its gradient
    4.0
    """

    def __init__(self) -> None:
        super().__init__(("seconds", "passes"))

    def update(self, seconds: Tensor, passes: Tensor, seeds: Sequence[int]) -> None:  # type: ignore[override]
        """Add what each image of a batch took, ``(B,)`` each."""
        self.accumulate(torch.stack([seconds, passes.to(seconds)], 1), seeds)
