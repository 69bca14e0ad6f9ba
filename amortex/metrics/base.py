"""What every metric is: means and medians over images, with bootstrap intervals, on any number of devices."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import Explanation

REPLICATES = 1000
BOOTSTRAP_SEED = 2022


class Interval(NamedTuple):
    """A mean, or a median, over images and its 95 % interval; NaN where there is none."""

    mean: float
    low: float
    high: float
    images: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


class ImageMean(Metric):
    """Means (of some columns medians) over images of named values, with 95 % bootstrap intervals.

    The bootstrap is Poisson's: each replicate counts each image a Poisson(1) number of times, drawn from a generator
    that belongs to the image. So the states are sums, whose size does not depend on the number of images, and the
    intervals depend neither on the order of the images nor on the device that each was on. Values that are not finite,
    which an image does not have, are left out of their mean. An image given twice counts twice.

    A median is no ratio of sums: its columns keep their values and the counts of each image, 4 kB. Its interval is that
    of the medians of the replicates.

    Arguments:
        columns: names of the values.
        medians: those of which the median is taken instead of the mean.

    References:
        Chamandy et al., Estimating Uncertainty for Massive Data Streams, 2012 (the Poisson bootstrap).

    >>> metric = ImageMean(["distortion"])
    >>> metric.update(torch.tensor([[0.1], [0.3]]), seeds=[1, 2])
    >>> print(metric.compute()["distortion"])
    0.200 [0.100, 0.300]
    """

    full_state_update = False
    total: Tensor
    weight: Tensor
    records: list[Tensor]

    def __init__(self, columns: Sequence[str], medians: Sequence[str] = ()) -> None:
        super().__init__()
        self.columns, self.medians = tuple(columns), tuple(medians)
        # row 0 counts each image once, the others are the replicates
        for name in ("total", "weight"):
            zeros = torch.zeros(1 + REPLICATES, len(self.columns), dtype=torch.float64)
            self.add_state(name, zeros, dist_reduce_fx="sum")
        if medians:
            # flat and float32, as torchmetrics has it of a device without images
            self.add_state("records", [], dist_reduce_fx="cat")

    def update(self, values: Tensor, seeds: Sequence[int]) -> None:
        """Add values ``(B, columns)`` of images; `seeds`, one per image, tell the images apart."""
        self.accumulate(values, seeds)

    def accumulate(self, values: Tensor, seeds: Sequence[int]) -> None:
        """What `update` does; subclasses whose `update` takes other arguments call it."""
        values = values.to(self.total)
        finite = values.isfinite()
        times = torch.stack([bootstrap_weights(seed) for seed in seeds]).to(self.total)  # (B, 1 + replicates)
        self.total += times.T @ values.where(finite, 0)
        self.weight += times.T @ finite.to(times)
        if self.medians:
            middles = values[:, [self.columns.index(name) for name in self.medians]]
            self.records.append(torch.cat([middles, times], 1).float().flatten())

    def compute(self) -> dict[str, Interval]:
        """By column, the mean or the median, and its interval."""
        columns = zip(self.columns, self.total.T, self.weight.T, strict=True)
        intervals = {name: ratio_interval(total, weight, int(weight[0])) for name, total, weight in columns}
        if self.medians:
            records = (
                self.records if isinstance(self.records, Tensor) else torch.cat([self.total[0, :0], *self.records])
            )
            records = records.double().unflatten(0, (-1, len(self.medians) + 1 + REPLICATES))
            values, times = records[:, : len(self.medians)], records[:, len(self.medians) :]
            intervals |= {name: median_interval(v, times) for name, v in zip(self.medians, values.T, strict=True)}
        return intervals

    def replicates(self) -> dict[str, tuple[Tensor, Tensor]]:
        """By column, without those of medians, the mean and its replicates, and their weights, ``(1 + replicates,)``.

        Metrics over the same images have the same weights. Then their replicates belong together, and the differences
        of these are replicates of the mean difference, image by image.
        """
        with self.sync_context():
            columns = zip(self.columns, self.total.T, self.weight.T, strict=True)
            return {name: (total / weight, weight) for name, total, weight in columns if name not in self.medians}


class ExplanationMetric(ImageMean, ABC):
    """An `ImageMean` of what `evaluate` finds in explanations. Subclasses set the columns and implement `evaluate`."""

    def update(self, explanation: Explanation) -> None:  # type: ignore[override]
        """Add explanations of a batch of images."""
        self.accumulate(self.evaluate(explanation), bootstrap_seeds(explanation.encoded.image))

    @abstractmethod
    def evaluate(self, explanation: Explanation) -> Tensor:
        """Values of each image, ``(B, columns)``."""


def bootstrap_seeds(image: Tensor) -> tuple[int, ...]:
    """A seed for each image of a batch ``(B, C, *size)``, from which its weights in the bootstrap are drawn."""
    return NoiseStreams.of(image, BOOTSTRAP_SEED, "bootstrap").seeds


def bootstrap_weights(seed: int) -> Tensor:
    """How often an image counts, ``(1 + replicates,)``: once, and Poisson(1) times in each replicate."""
    generator = torch.Generator().manual_seed(seed)
    times = torch.poisson(torch.ones(REPLICATES, dtype=torch.float64), generator)
    return torch.cat([times.new_ones(1), times])


def ratio_interval(numerator: Tensor, denominator: Tensor, images: int) -> Interval:
    """The ratio of two sums ``(1 + replicates,)``, and its 2.5 and 97.5 % quantiles over the replicates."""
    low, high = torch.nan, torch.nan
    defined = denominator[1:] > 0
    if images > 1 and defined.any():
        ratios = numerator[1:][defined] / denominator[1:][defined]
        low, high = ratios.quantile(ratios.new_tensor([0.025, 0.975])).tolist()
    return Interval((numerator[0] / denominator[0]).item(), low, high, images)


def median_interval(values: Tensor, times: Tensor) -> Interval:
    """The median of values ``(B,)``, and the 2.5 and 97.5 % quantiles of those of the replicates.

    Arguments:
        values: of the images; those that are not finite are left out.
        times: how often each image counts, ``(B, 1 + replicates)``.

    >>> median_interval(torch.tensor([0.1, 0.5, 0.9, torch.nan]), torch.ones(4, 3))
    Interval(mean=0.5, low=0.5, high=0.5, images=3)
    """
    finite = values.isfinite()
    values, times = values[finite].double(), times[finite].double()
    if not len(values):
        return Interval(torch.nan, torch.nan, torch.nan, 0)
    values, order = values.sort()
    counted = times[order].cumsum(0).T.contiguous()  # (1 + replicates, B)
    middle = counted[:, -1:] / 2
    below, above = (torch.searchsorted(counted, middle, right=right)[:, 0] for right in (False, True))
    defined = counted[:, -1] > 0
    below, above = below[defined], above[defined]
    median, *replicates = ((values[below] + values[above]) / 2).tolist()  # the mean of the two in the middle, if even
    low, high = torch.nan, torch.nan
    if len(values) > 1 and replicates:
        low, high = values.new_tensor(replicates).quantile(values.new_tensor([0.025, 0.975])).tolist()
    return Interval(median, low, high, len(values))
