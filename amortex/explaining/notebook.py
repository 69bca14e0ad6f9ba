"""Results for notebooks and scripts: they show and save themselves."""

from pathlib import Path
from typing import TYPE_CHECKING

from amortex.explaining.rendering import draw_panel, panel_png, summary_line
from amortex.explaining.results import ExplanationResult
from amortex.explaining.rows import Row
from amortex.explaining.saving import save_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PANELS = 8  # in a notebook's output


class NotebookResult(ExplanationResult):
    """What `LoadedExplainer.explain` returns: a result that a notebook shows as panels, and that can be saved."""

    def panel(self, index: int = 0) -> "Figure":
        """Image, explanation, mask and importance per scale, as ``explain.py`` draws them.

        Raises:
            InputError: the inputs are no images.
        """
        return draw_panel(self, index)

    def save(self, folder: str | Path, samples: int | None = None, overwrite: bool = False) -> list[Row]:
        """Write what ``explain.py`` writes: pictures, panels, masks and summaries. Returns the new rows of the summary.

        Inputs that the folder holds already are left as they are.

        Arguments:
            folder: made unless it is there.
            samples: of the certificate, see `certificate`.
            overwrite: remove the results that the folder holds.

        Raises:
            InputError: the folder cannot be made, or holds results of other settings; one file is explained for two
                classes.
        """
        return save_result(self, Path(folder), samples, overwrite)

    def __repr__(self) -> str:
        return "\n".join(summary_line(source.label, self.row(index)) for index, source in enumerate(self.sources))

    def _repr_png_(self) -> bytes:
        from amortex.explaining.plots import stack

        return stack([panel_png(self, index) for index in range(min(len(self), MAX_PANELS))])
