"""Signals for training: their sources, the order of the samples, and the data module."""

from amortex.data.module import ImageData, SignalData

__all__ = ["ImageData", "SignalData"]
