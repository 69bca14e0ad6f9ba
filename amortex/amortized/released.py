"""Trained explainers that come with amortex; `assets/CARD.md` tells how they were made and how good they are."""

from pathlib import Path

from amortex.io.bundled import ASSETS

WEIGHTS, CONFIG = "explainer.safetensors", "explainer.json"  # of a release
OTHERS = "others.safetensors"  # in a release: weights that other classes than the predicted one have instead


def released(classifier: str, other_classes: bool = False) -> Path | None:
    """The release folder of the explainer for a classifier with its own weights, or None where there is none.

    With `other_classes` it has learned to explain other classes than the predicted one, too.
    """
    folder = ASSETS / classifier
    files = [CONFIG, OTHERS] if other_classes else [CONFIG]
    return folder if all((folder / file).is_file() for file in files) else None
