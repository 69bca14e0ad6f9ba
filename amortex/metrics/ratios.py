"""Amortized against exact: the gap in the objective, the break-even in images."""

from collections.abc import Sequence

import torch
from torch import Tensor

from amortex.metrics import functional
from amortex.metrics.base import ImageMean, Interval, interval

DECADES, BINS = 3, 6000  # ratios from 1e-3 to 1e3, in bins 0.23 % wide


def both(a: Tensor, b: Tensor) -> Tensor:
    """``(B, 2)``; an image that lacks one figure counts for neither."""
    pair = torch.stack([a, b], 1)
    return pair.where(pair.isfinite().all(1, keepdim=True), torch.nan)


class AmortizationGap(ImageMean):
    """Mean J of a method over mean J of the teacher, over images and lambda_k; 1 is as good as the teacher.

    ``compute`` gives ``gap``, its interval by the bootstrap over images, and ``median_ratio``, the median over images
    and lambda_k of the ratio, without an interval and to a quarter of a percent: it is read off a histogram, which,
    other than a list of all ratios, is summed across devices.
    """

    histogram: Tensor

    def __init__(self) -> None:
        super().__init__(("method", "teacher"))
        self.add_state("histogram", torch.zeros(BINS, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, objective: Tensor, teacher: Tensor, seeds: Sequence[int]) -> None:  # type: ignore[override]
        """Add J of the method and of the teacher, ``(B, lambdas)`` each."""
        self.accumulate(both(objective.mean(1), teacher.mean(1)), seeds)
        ratios = (objective / teacher).flatten()
        place = (ratios[ratios.isfinite()].log10() + DECADES) / (2 * DECADES) * BINS
        place = place.long().clamp(0, BINS - 1)
        self.histogram += torch.bincount(place, minlength=BINS).to(self.histogram)

    def compute(self) -> dict[str, Interval]:
        gap = interval(self.total[:, 0], self.total[:, 1], int(self.weight[0, 0]))
        half = torch.searchsorted(self.histogram.cumsum(0), self.histogram.sum() / 2)
        median = 10 ** ((half.item() + 0.5) / BINS * 2 * DECADES - DECADES)
        median = median if self.histogram.sum() else torch.nan
        return {"gap": gap, "median_ratio": Interval(median, torch.nan, torch.nan, gap.images)}


class BreakEven(ImageMean):
    """After how many images training has paid for itself: training time over the mean time saved per image.

    Arguments:
        training_seconds: what training the explainer took.
    """

    def __init__(self, training_seconds: float) -> None:
        super().__init__(("teacher", "amortized"))
        self.training_seconds = training_seconds

    def update(self, teacher: Tensor, amortized: Tensor, seeds: Sequence[int]) -> None:  # type: ignore[override]
        """Add seconds per image of both, ``(B,)`` each."""
        self.accumulate(both(teacher, amortized), seeds)

    def compute(self) -> dict[str, Interval]:
        means = self.total / self.weight
        images = functional.break_even(self.training_seconds, means[:, 0], means[:, 1])
        # of the nearest replicates: some may never break even, and between infinities nothing can be interpolated
        bounds = (
            images[1:]
            .nan_to_num(torch.inf, torch.inf)
            .quantile(means.new_tensor([0.025, 0.975]), interpolation="nearest")
        )
        low, high = bounds.tolist()
        return {"images": Interval(images[0].item(), low, high, int(self.weight[0, 0]))}


class ExplanationTime(ImageMean):
    """Seconds and classifier passes per explanation: a forward pass is 1, forward and backward 3."""

    def __init__(self) -> None:
        super().__init__(("seconds", "passes"))

    def update(self, seconds: Tensor, passes: Tensor, seeds: Sequence[int]) -> None:  # type: ignore[override]
        """Add what each image of a batch took, ``(B,)`` each."""
        self.accumulate(torch.stack([seconds, passes], 1), seeds)
