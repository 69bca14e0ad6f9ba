"""The rates at which curves are measured, as plain numbers. Nothing here imports torch."""

from collections.abc import Sequence
from itertools import pairwise

CURVE_RATES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
LOWEST_LOG_RATE = 0.005  # where a logarithmic axis of rates begins


def is_axis(rates: Sequence[float]) -> bool:
    """Whether `rates` rise from 0 to 1, also as tables print them, and curves over them have areas on both axes.

    >>> is_axis(CURVE_RATES), is_axis((0.0, 0.2)), is_axis((0.2, 0.1))
    (True, False, False)
    """
    rising = all(float(f"{low:g}") < float(f"{high:g}") for low, high in pairwise(rates))
    return rising and all(0 <= rate <= 1 for rate in rates) and sum(rate >= LOWEST_LOG_RATE for rate in rates) >= 2
