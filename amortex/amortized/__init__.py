"""Amortized explainers: a network predicts the mask, and learned steps refine it."""
