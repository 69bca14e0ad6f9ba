"""Volumes: what is kept as a file of NumPy's format, and the panel."""

from typing import TYPE_CHECKING

from amortex.explaining.rendering import title_lines
from amortex.explaining.results import ExplanationResult
from amortex.io.files import KEPT_VOLUME_ENDING
from amortex.io.volumes import npy_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class VolumeView:
    """Central slices and maximum projections of the volume and of what is kept, and the mask level by level."""

    def draw(self, result: ExplanationResult, index: int) -> "Figure":
        from amortex.explaining.volume_plots import volume_panel

        return volume_panel(result, index, title_lines(result.row(index), list(result.extra)))

    def files(self, result: ExplanationResult, index: int) -> dict[str, bytes]:
        return {KEPT_VOLUME_ENDING: npy_bytes(result.kept[index])}

    def html(self, result: ExplanationResult, index: int) -> str | None:
        return None
