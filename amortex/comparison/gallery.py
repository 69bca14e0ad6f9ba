"""Explanations side by side, as pictures."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from amortex.comparison.bench import Batch, Method
from amortex.explainers.base import picture
from amortex.explaining.plots import INK, png
from amortex.io.files import write_atomically

MOST_COLUMNS = 7


def write_gallery(
    folder: Path, batch: Batch, methods: Sequence[Method], varied: Sequence[Method], places: dict[int, int]
) -> list[str]:
    """Pictures of images of a batch, ``gallery/INDEX.png``, and of CartoonX's settings, ``gallery/settings_INDEX.png``.

    `places` maps places in the batch to numbers of images. RDE explanations are shown as such, pixel attributions as
    heat maps whose brightest percent is white. Returns what was written, relative to `folder`.
    """
    written = []
    (folder / "gallery").mkdir(exist_ok=True)
    for name, shown in (("", methods), ("settings_", varied)):
        if not shown:
            continue
        drawn = [(method.name, draw(batch, method)) for method in shown]
        for place, index in places.items():
            tiles = [("image", batch.image[place].permute(1, 2, 0).cpu())]
            tiles += [(label, pictures[place].cpu()) for label, pictures in drawn]
            written.append(f"gallery/{name}{index}.png")
            write_atomically(folder / written[-1], png(grid(tiles)))
    return written


@torch.no_grad()
def draw(batch: Batch, method: Method) -> Tensor:
    """``(B, H, W)`` in [0, 1]: the explanation of a mask, the heat map of a pixel attribution."""
    explanation = batch.explain(method).explanation
    if method.kind in ("exact", "amortized") or not method.on_pixels:
        return picture(method.explainer.rate_distortion, explanation)[:, 0]
    maps = explanation.relevance
    top = torch.quantile(maps, 0.99, dim=1, keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
    shown: Tensor = (maps / top).clamp(0, 1).unflatten(1, explanation.encoded.layout.size)
    return shown


def grid(tiles: Sequence[tuple[str, Tensor]]) -> Figure:
    """Labelled pictures in rows."""
    rows = math.ceil(len(tiles) / MOST_COLUMNS)
    columns = math.ceil(len(tiles) / rows)
    figure = Figure(figsize=(1.75 * columns, 2.0 * rows), dpi=130, layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (label, pixels) in zip(axes, tiles, strict=False):
        axis.imshow(np.asarray(pixels.squeeze(-1)), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(label, fontsize=8, color=INK)
    return figure
