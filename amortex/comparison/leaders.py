"""Which row of a table is best by each measure, and which rows cannot be told from it."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from amortex.metrics import Interval
from amortex.rate_distortion import CONFIDENCE

FEWEST_IMAGES = 8  # with fewer, replicates are too alike: rows that are as good would be told apart


class Measure(NamedTuple):
    """A measure in words, with a place for what stands behind the @ of its column, and whether high is good."""

    words: str
    highest: bool = False


MEASURES = {  # by column, up to an @
    "l2@": Measure("output distance at a rate of {:g}"),
    "out_l2_area": Measure("output distance without the top, mean over rates", highest=True),
    "best_objective": Measure("J at the best rate"),
    "insertion": Measure("insertion", highest=True),
    "deletion": Measure("deletion"),
    "faithfulness": Measure("faithfulness", highest=True),
    "mu_fidelity": Measure("mu-fidelity", highest=True),
    "gap@": Measure("J over that of CartoonX `converged`, {:g} passes"),
}


class Compared(NamedTuple):
    """What a row has by a measure.

    Arguments:
        interval: of the mean.
        means: the mean and its replicates, ``(1 + replicates,)``, or a multiple that is the same for all rows.
        weights: how much each of these is of, ``(1 + replicates,)``: the same for rows over the same images.
    """

    interval: Interval
    means: Tensor
    weights: Tensor


class Leader(NamedTuple):
    """The best row by a measure, and the rows that the images cannot tell from it."""

    measure: str
    highest: bool
    row: str
    value: Interval
    equals: tuple[str, ...]


def leaders(columns: Mapping[str, Mapping[str, Compared]], shown: Collection[str]) -> Iterator[Leader]:
    """The best row by each measure. Rows without a value for some of the images that others have are left out.

    Arguments:
        columns: column -> row -> what it has there.
        shown: of the columns with an @, those that count.
    """
    for column, rows in columns.items():
        name, at, argument = column.partition("@")
        if name + at not in MEASURES or (at and column not in shown):
            continue
        measured = on_the_same_images(rows)
        if len(measured) > 1:
            measure = MEASURES[name + at]
            best = (max if measure.highest else min)(measured, key=lambda row: measured[row].interval.mean)
            worse = told_apart(torch.stack([entry.means for entry in measured.values()]), list(measured).index(best))
            equals = (row for row, apart in zip(measured, worse.tolist(), strict=True) if not apart and row != best)
            value = measured[best].interval
            yield Leader(measure.words.format(float(argument or 0)), measure.highest, best, value, tuple(equals))


def on_the_same_images(rows: Mapping[str, Compared]) -> dict[str, Compared]:
    """The rows that have values for as many images as any other, if these are enough."""
    finite = {row: entry for row, entry in rows.items() if math.isfinite(entry.interval.mean)}
    most = max(finite.values(), key=lambda entry: entry.interval.images, default=None)
    if most is None or most.interval.images < FEWEST_IMAGES:
        return {}
    return {row: entry for row, entry in finite.items() if torch.equal(entry.weights, most.weights)}


def told_apart(means: Tensor, best: int) -> Tensor:
    """Which rows ``(R,)`` differ from the `best` one, by means and their replicates ``(R, 1 + replicates)``.

    All pairs of rows are tested at once, by the largest of their standardised differences in the replicates. So with
    a probability of about 95 % no row is told from the best one that is as good, however many there are, and though
    the best one was chosen by the same images.

    References:
        Romano and Wolf, Exact and Approximate Stepdown Methods for Multiple Hypothesis Testing, 2005 (the first step).
    """
    means = means[:, means.isfinite().all(0)]  # without replicates that count no image at all
    differences = means[:, None] - means  # (R, R, 1 + replicates)
    errors = differences[..., 1:] - differences[..., :1]
    deviation = errors.square().mean(-1, keepdim=True).sqrt()
    largest = (errors.abs() / deviation).nan_to_num(0.0).amax((0, 1))  # equal rows have no deviation
    critical = largest.quantile(CONFIDENCE) * deviation[:, best, 0]
    return differences[:, best, 0].abs() > critical
