"""Photographs for training: where they come from, which sample shows which, and the data module."""

from amortex.data.module import ImageData

__all__ = ["ImageData"]
