"""Explanations side by side: images as pictures in a grid, sounds and volumes as files and panels of each method."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from amortex.comparison.explained_batch import ExplainedBatch
from amortex.comparison.methods import Method
from amortex.explainers.base import picture
from amortex.explaining.figures import INK, png
from amortex.io.files import write_atomically

MOST_COLUMNS = 7
LONG_LABEL = 24  # characters, which a tile is as wide as
BRIGHTEST_SHARE = 0.01  # of the pixels of a heat map, which are white


def write_grids(
    folder: Path, batch: ExplainedBatch, methods: Sequence[Method], numbers: Mapping[int, int], prefix: str = ""
) -> dict[str, str]:
    """Write ``gallery/PREFIX NUMBER.png`` for images of a batch.

    `numbers` maps positions in the batch to numbers of images ``(C, H, W)``. Explanations by masks are shown as such,
    pixel attributions as heat maps. Returns what the report shows, by keys that put the images in order.
    """
    if not methods:
        return {}
    (folder / "gallery").mkdir(exist_ok=True)
    labelled, entries = [(method.shown.label, explanation_pictures(batch, method)) for method in methods], {}
    for position, number in numbers.items():
        tiles = [("image", batch.image[position].permute(1, 2, 0).cpu())]
        tiles += [(label, pictures[position].cpu()) for label, pictures in labelled]
        path = f"gallery/{prefix}{number}.png"
        write_atomically(folder / path, png(picture_grid(tiles)))
        entries[f"{prefix}{number:06}"] = f"![explanations]({path})"
    return entries


@torch.no_grad()
def explanation_pictures(batch: ExplainedBatch, method: Method) -> Tensor:
    """``(B, H, W)`` in [0, 1]: the explanation by a mask, or the heat map of a pixel attribution."""
    explanation = batch.explain(method).explanation
    if method.kind in ("exact", "amortized") or not method.on_pixels:
        return picture(method.explainer.rate_distortion, explanation)[:, 0]
    relevance = explanation.relevance
    brightest = torch.quantile(relevance, 1 - BRIGHTEST_SHARE, dim=1, keepdim=True)
    brightest = brightest.clamp(min=torch.finfo(relevance.dtype).tiny)
    heat_maps: Tensor = (relevance / brightest).clamp(0, 1).unflatten(1, explanation.encoded.layout.size)
    return heat_maps


def picture_grid(tiles: Sequence[tuple[str, Tensor]]) -> Figure:
    """Labelled pictures ``(H, W)`` or ``(H, W, C)`` in rows."""
    rows = math.ceil(len(tiles) / MOST_COLUMNS)
    columns = math.ceil(len(tiles) / rows)
    figure = Figure(figsize=(1.75 * columns, 2.0 * rows), dpi=130, layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (label, pixels) in zip(axes, tiles, strict=False):
        axis.imshow(np.asarray(pixels.squeeze(-1)), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(label, fontsize=8 if len(label) <= LONG_LABEL else 6, color=INK)
    return figure
