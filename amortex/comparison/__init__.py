"""The comparison of explainers: what is measured, on which images, and the report."""

from amortex.comparison.module import Comparison as Comparison
