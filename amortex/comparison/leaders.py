"""Which row of a table is best by each measure, and which rows cannot be told from it."""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

from amortex.metrics import Interval


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
    """What a row has by a measure: the interval of its mean, and the mean and its replicates, ``(1 + replicates,)``."""

    interval: Interval
    means: Tensor


class Leader(NamedTuple):
    """The best row by a measure, and the rows that cannot be told from it: zero is in the interval of the difference,
    image by image."""

    measure: str
    highest: bool
    row: str
    value: Interval
    equals: tuple[str, ...]


def leaders(columns: Mapping[str, Mapping[str, Compared]], shown: Collection[str]) -> Iterator[Leader]:
    """The best row by each measure that two rows at least have, of two images at least.

    Arguments:
        columns: column -> row -> what it has there.
        shown: of the columns with an @, those that count.
    """
    for column, rows in columns.items():
        name, at, argument = column.partition("@")
        if name + at not in MEASURES or (at and column not in shown):
            continue
        measured = {row: entry for row, entry in rows.items() if entry.interval.images > 1}
        if len(measured) > 1:
            measure = MEASURES[name + at]
            best = (max if measure.highest else min)(measured, key=lambda row: measured[row].interval.mean)
            value, means = measured[best]
            equals = tuple(row for row, entry in measured.items() if row != best and _alike(entry.means, means))
            yield Leader(measure.words.format(float(argument or 0)), measure.highest, best, value, equals)


def _alike(means: Tensor, best: Tensor) -> bool:
    """Whether zero is in the 95 % interval of the difference of two means over the same images."""
    difference = (means - best)[1:]
    low, high = difference[difference.isfinite()].quantile(difference.new_tensor([0.025, 0.975])).tolist()
    return bool(low <= 0 <= high)
