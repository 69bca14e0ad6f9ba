"""The formulas of the metrics, image by image: pure functions, of which `amortex.metrics` makes torchmetrics.

Most of them measure hard masks that keep the top share of the entries. Entries are ranked by relevance, equal ones by
coefficient energy, because optimised masks have many exact zeros and ones. Noise comes from streams of each image that
no explainer has seen. It is the same for every method and every rate.

Signals may have any number of axes: ``(B, C, *size)``. `hallucination` alone is about pictures.
"""

from amortex.metrics.functional.correlation import (
    mean_ranks,
    mu_fidelity,
    pearson,
    random_subsets,
    spearman_within_levels,
    subset_drops,
)
from amortex.metrics.functional.curves import (
    area,
    best_objective,
    insertion_deletion,
    rate_distortion_curve,
    reduced_probability,
    relevance_ranks,
)
from amortex.metrics.functional.edges import CANNY_OPTIONS, hallucination
from amortex.metrics.functional.masked_in import MASKED_IN_MEASURES, kept_signal, masked_in, top_mask
from amortex.metrics.functional.masks import (
    INFORMATION_MEASURES,
    conciseness_preciseness,
    information,
    mean_output,
    operating_point,
    retains_class,
)
from amortex.metrics.functional.ratios import break_even, complete_pairs
from amortex.metrics.functional.separation import HIGHEST_SI_SDR, SEPARATION_MEASURES, separation, si_sdr

__all__ = [
    "CANNY_OPTIONS",
    "HIGHEST_SI_SDR",
    "INFORMATION_MEASURES",
    "MASKED_IN_MEASURES",
    "SEPARATION_MEASURES",
    "area",
    "best_objective",
    "break_even",
    "complete_pairs",
    "conciseness_preciseness",
    "hallucination",
    "information",
    "insertion_deletion",
    "kept_signal",
    "masked_in",
    "mean_output",
    "mean_ranks",
    "mu_fidelity",
    "operating_point",
    "pearson",
    "random_subsets",
    "rate_distortion_curve",
    "reduced_probability",
    "relevance_ranks",
    "retains_class",
    "separation",
    "si_sdr",
    "spearman_within_levels",
    "subset_drops",
    "top_mask",
]
