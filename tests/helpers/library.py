"""Explainers of a small network through `import amortex`."""

import amortex
from amortex.app.loaded_explainer import LoadedExplainer

SMALL = {"input_size": 32, "mean": [0.5], "std": [0.5], "levels": 2, "device": "cpu"}
NAMES = ["ant", "bee, honey bee", "cow", "dog", "eel"]


def load(method: str | None = "wam", classifier="helpers.networks.TinyNet", source=None, **options) -> LoadedExplainer:
    return amortex.load_explainer(source, method=method, classifier=classifier, **{**SMALL, **options})
