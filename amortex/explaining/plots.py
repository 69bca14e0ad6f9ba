"""Pictures of images and their masks: the explanation panel, and the dyadic layout of wavelet and shearlet masks."""

import math
from collections.abc import Sequence
from itertools import cycle

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from amortex.core.layout import Layout
from amortex.core.masks import scale_profile
from amortex.explaining.figures import (
    COLOURS,
    GREY,
    HEAT,
    INK,
    RULE,
    TITLE_LINE,
    draw_histogram,
    draw_picture,
    draw_scales,
    is_ranked,
    label_spectrogram,
    turn,
    write_title,
)  # fmt: skip

BRIGHTEST_QUANTILE = 0.995  # of the relevance that is shown brightest: single pixels would darken the rest
MAX_DYADIC_SIDE = 2048  # in pixels
PIXELS = ("pixels",)  # the groups of a mask over pixels


def dyadic(mask: Tensor, layout: Layout, cell: int = 8) -> Tensor:
    """The wavelet mask ``(k,)`` of an image as one square picture: low-pass top left, level 1 (finest) outside.

    Each band is resized to its dyadic cell (nearest neighbour). Horizontal details lie right of the coarser levels,
    vertical ones below, diagonal ones across. The low-pass cell has at least the side `cell`, unless the picture gets
    too large.
    """
    low, *details = layout.split(mask)
    side = max(1, min(max(cell, low.shape[-1]), MAX_DYADIC_SIDE >> len(details)))
    canvas = _fit(low, side)
    for detail in reversed(details):
        horizontal, vertical, diagonal = (_fit(band, side) for band in detail)
        canvas = torch.cat([torch.cat([canvas, horizontal], dim=1), torch.cat([vertical, diagonal], dim=1)])
        side *= 2
    return canvas


def _fit(band: Tensor, side: int) -> Tensor:
    return F.interpolate(band[None, None], (side, side), mode="nearest-exact")[0, 0]


def directional(mask: Tensor, layout: Layout, cell: int = 16) -> Tensor:
    """The shearlet mask ``(k,)`` as one square picture: low-pass top left, level 1 (finest) outside.

    Horizontal edges lie right of the coarser levels, vertical ones below: a tile for each direction, row after row. A
    pixel is the largest mask value that falls on it, so that single entries are seen; NaN where no coefficient is.
    """
    low, *details = layout.split(mask)
    canvas, side = F.adaptive_max_pool2d(low[None], cell)[0], cell
    for horizontal, vertical in zip(details[-2::-2], details[::-2], strict=True):
        right, below = _tiles(horizontal, side), _tiles(vertical, side)
        canvas = torch.cat([torch.cat([canvas, right], 1), torch.cat([below, torch.full_like(below, torch.nan)], 1)])
        side *= 2
    return canvas


def _tiles(bands: Tensor, side: int) -> Tensor:
    """Bands ``(n, rows, columns)`` beside each other in a square; n is a power of two."""
    across = 1 << (len(bands).bit_length() // 2)
    down = len(bands) // across
    tiles = F.adaptive_max_pool2d(bands, (side // down, side // across)).unflatten(0, (down, across))
    square: Tensor = tiles.permute(0, 2, 1, 3).reshape(side, side)
    return square


def panel(
    image: Tensor,
    picture: Tensor,
    mask: Tensor,
    relevance: Tensor,
    layout: Layout,
    title: Sequence[str],
    spectrogram: bool = False,
    frame_seconds: float | None = None,
    frequencies: Sequence[float] | None = None,
) -> Figure:
    """Image, explanation, mask and importance per scale, side by side.

    Arguments:
        image: ``(C, H, W)`` in [0, 1].
        picture: ``(1, H, W)``, the explanation.
        mask, relevance: ``(k,)``.
        layout: of the mask.
        title: lines above the panel; the first is set in bold.
        spectrogram: whether the image is one, ``(1, frames, bands)``: time is drawn to the right, frequency upwards.
        frame_seconds: from one frame of a spectrogram to the next, if it is known.
        frequencies: of its bands in Hz, if they are known.
    """
    height = 3.48 + TITLE_LINE * len(title)  # in inches
    figure = Figure(figsize=(12, height), dpi=150)
    left = 0.012 if frequencies is None else 0.034
    grid = {"left": left, "right": 0.985, "bottom": 0.385 / height, "top": 3.08 / height, "wspace": 0.2}
    axes = figure.subplots(1, 4, gridspec_kw=grid)
    colours = image if len(image) == 3 else image.mean(0, keepdim=True)
    name = "Log-mel spectrogram" if spectrogram else "Image"
    draw_picture(axes[0], name, colours.permute(1, 2, 0).squeeze(-1), **(GREY if len(colours) == 1 else {}))
    draw_picture(axes[1], "Explanation", picture[0], **GREY)
    # a mask that keeps or drops pixels shows the same as the picture: the relevance behind it shows more
    ranked = is_ranked(mask, relevance)
    _draw_mask(axes[2], image, mask, relevance, layout, ranked)
    if spectrogram:
        for axis in axes[:3]:
            turn(axis)
        for axis in axes[:2]:
            label_spectrogram(axis, frame_seconds, frequencies)
    levels = int(layout.level.max())
    if levels:
        profile = scale_profile(relevance[None], layout.level.cpu(), levels)[0]
        labels = ["low", *map(str, range(1, levels + 1))]
        draw_scales(axes[3], f"{'Relevance' if ranked else 'Mask'} per scale (%)", profile, labels)
    elif ranked:
        draw_histogram(axes[3], "Relevance (% of entries)", relevance / relevance.amax().clamp(min=1e-12))
    else:
        draw_histogram(axes[3], "Mask values (% of entries)", mask)
    write_title(figure, title)
    return figure


def _draw_mask(axis: Axes, image: Tensor, mask: Tensor, relevance: Tensor, layout: Layout, ranked: bool) -> None:
    """The mask over the coefficients; over pixels the relevance if `ranked`."""
    low, *details = (band.shape for band in layout.bands)
    if details and len(low) == 2 and all(len(shape) == 3 and shape[0] == 3 for shape in details):
        _draw_cells(axis, "Mask (wavelet coefficients)", dyadic(mask, layout), int(layout.level.max()))
    elif [band.name for band in layout.bands[1:3]] == ["level1_horizontal", "level1_vertical"]:
        _draw_cells(axis, "Mask (shearlet coefficients)", directional(mask, layout), len(details) // 2)
    elif layout.is_complex:
        draw_picture(axis, "Mask (frequencies, zero at the centre)", _all_frequencies(mask, layout), **HEAT)
    elif low != layout.size:
        draw_picture(axis, "Mask (coefficients, band after band)", _square(mask), **HEAT)
    elif ranked and layout.groups == PIXELS:
        brightest = relevance.kthvalue(max(1, round(BRIGHTEST_QUANTILE * layout.k))).values
        heat = (relevance / brightest.clamp(min=1e-12)).clamp(0, 1)
        axis.imshow(image.mean(0).cpu(), **GREY)
        draw_picture(axis, "Relevance", heat.reshape(layout.bands[0].shape), **HEAT, alpha=0.7)
    else:
        entries = "pixels" if layout.groups == PIXELS else "coefficients"
        draw_picture(axis, f"Mask ({entries})", mask.reshape(low), **HEAT)


def _draw_cells(axis: Axes, title: str, cells: Tensor, levels: int) -> None:
    """A dyadic picture with the borders between its levels."""
    draw_picture(axis, title, cells, **HEAT)
    size = len(cells)
    for level in range(levels):
        middle, end = size / 2 ** (level + 1) - 0.5, size / 2**level - 0.5
        axis.plot([middle, middle], [-0.5, end], [-0.5, end], [middle, middle], color=RULE, lw=0.6)
    axis.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))


def _square(values: Tensor) -> Tensor:
    """Values ``(k,)`` row after row in the smallest square; what they do not fill is zero."""
    side = math.ceil(len(values) ** 0.5)
    return F.pad(values, (0, side**2 - len(values))).reshape(side, side)


def _all_frequencies(mask: Tensor, layout: Layout) -> Tensor:
    """A mask over `rfft2`'s half plane, on the whole plane: opposite frequencies share an entry, zero is central."""
    half = mask.reshape(layout.bands[0].shape)
    width = layout.size[1]
    mirrored = half.roll(-1, 0).flip(0)[:, 1 : (width + 1) // 2].flip(1)  # (-row, -column)
    plane: Tensor = torch.fft.fftshift(torch.cat([half, mirrored], dim=1))
    return plane


def training_curve(history: Sequence[dict[str, float]]) -> Figure:
    """The validation objective over the steps of a training run.

    Arguments:
        history: one table per validation. Its keys are ``step``, and for each lambda_k, as text: ``LAMBDA_K``, the
            objective at the best of the measured rates; ``predicted LAMBDA_K``, that at the predicted rate; and
            ``refined LAMBDA_K``, that of refined masks, where refinement is learned.
    """
    figure = Figure(figsize=(6, 3.6), dpi=150, layout="constrained")
    axis = figure.subplots()
    steps = [row["step"] for row in history]
    names = [name for name in history[-1] if name != "step" and " " not in name]
    lines = {"": ("-", "best of nine rates"), "predicted ": ("--", "predicted rate"), "refined ": (":", "refined")}
    for name, colour, marker in zip(names, cycle(COLOURS), cycle("os^vDP"), strict=False):
        axis.plot([], [], color=colour, marker=marker, ms=3.5, label=f"$\\lambda k$ = {name}")
        for kind, (style, _) in lines.items():
            values = [row.get(kind + name, float("nan")) for row in history]
            axis.plot(steps, values, style, color=colour, marker="" if kind == "predicted " else marker, ms=3.5, lw=1.2)
    for kind, (style, label) in lines.items():
        if kind + names[0] in history[-1]:
            axis.plot([], [], style, color=INK, label=label)
    axis.set(xlabel="training step", ylabel="D + $\\lambda k$ R, validation images")
    axis.grid(alpha=0.25)
    figure.legend(fontsize=8, frameon=False, loc="outside right upper")
    return figure
