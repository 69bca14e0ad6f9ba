"""The panel of a volume: central slices, maximum projections, and the mask level by level."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from amortex.core.masks import scale_profile
from amortex.core.scales import level_labels
from amortex.explaining.figures import (
    GREY,
    HEAT,
    TITLE_LINE,
    draw_histogram,
    draw_picture,
    draw_scales,
    is_ranked,
    write_title,
)  # fmt: skip
from amortex.explaining.results import ExplanationResult
from amortex.transforms.fourier import Fourier

AXES = ("depth", "height", "width")
COLUMNS = 6


def volume_panel(result: ExplanationResult, index: int, title: Sequence[str]) -> Figure:
    """Slices and projections of a volume and of what is kept, the share per scale, and the mask of each level.

    Arguments:
        result, index: the explanation.
        title: lines above the panel; the first is set in bold.
    """
    height = 6.6 + TITLE_LINE * len(title)  # in inches
    figure = Figure(figsize=(12, height), dpi=150)
    grid = {
        "left": 0.035, "right": 0.978, "bottom": 0.5 / height, "top": 6.15 / height, "wspace": 0.22, "hspace": 0.22,
    }  # fmt: skip
    axes = figure.subplots(3, COLUMNS, gridspec_kw=grid)
    low, high = result.rate_distortion.value_range
    style = {**GREY, "vmin": low, "vmax": high}
    for row, (name, signals) in enumerate((("Volume", result.encoded.image), ("Kept", result.kept))):
        volume = signals[index].detach().mean(0).cpu()
        for axis, along in enumerate(AXES):
            draw_picture(axes[row, axis], f"{name}: mid {along}", _middle(volume, axis), **style)
            draw_picture(axes[row, 3 + axis], f"{name}: max over {along}", volume.amax(axis), **style)
    _mask(axes[2], result, index)
    write_title(figure, title)
    return figure


def _mask(axes: Sequence[object], result: ExplanationResult, index: int) -> None:
    """The share per scale, and the mask on the voxels: of each level, coarse to fine, its maximum over the depth."""
    layout, mask, relevance = result.encoded.layout, result.mask[index].cpu(), result.importance[index].cpu()
    levels, first, maps = int(layout.level.max()), axes[0], list(axes[1:])
    of = "Relevance" if is_ranked(mask, relevance) else "Mask"
    if levels:
        profile = scale_profile(relevance[None], layout.level.cpu(), levels)[0]
        draw_scales(first, f"{of} per scale (%)", profile, ["low", *map(str, range(1, levels + 1))])  # type: ignore[arg-type]
    else:
        draw_histogram(first, "Mask values (% of entries)", mask)  # type: ignore[arg-type]
    transform, labels = result.rate_distortion.transform, level_labels(levels, "voxels") if levels else ["voxels"]
    if not isinstance(transform, Fourier):  # whose entries have no place
        of_levels = transform.level_maps(result.mask[[index]].float(), result.encoded.coefficients)[0].detach().cpu()
        for level in [0, *range(levels, 0, -1)][-len(maps) :]:
            picture = of_levels[level].amax(0).clamp(max=1)  # of details a sum over their orientations
            draw_picture(maps.pop(0), f"Mask: {labels[level]}", picture, **HEAT)  # type: ignore[arg-type]
    for axis in maps:
        axis.set_axis_off()  # type: ignore[attr-defined]


def _middle(volume: Tensor, axis: int) -> Tensor:
    """The central slice across an axis."""
    return volume.select(axis, volume.shape[axis] // 2)
