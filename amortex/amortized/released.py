"""Trained explainers that come with amortex; `assets/CARD.md` tells how they were made and how good they are."""

from importlib import resources
from pathlib import Path

ASSETS = Path(str(resources.files("amortex"))) / "assets"


def released(classifier: str) -> Path | None:
    """The release folder of the explainer for a classifier with its own weights, or None where there is none."""
    folder = ASSETS / classifier
    return folder if (folder / "explainer.json").is_file() else None
