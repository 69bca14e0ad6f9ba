"""Trained explainers that come with amortex; `assets/CARD.md` tells how they were made and how good they are."""

from pathlib import Path

from amortex.io.bundled import ASSETS


def released(classifier: str) -> Path | None:
    """The release folder of the explainer for a classifier with its own weights, or None where there is none."""
    folder = ASSETS / classifier
    return folder if (folder / "explainer.json").is_file() else None
