"""Results for notebooks and scripts: they show and save themselves."""

from pathlib import Path
from typing import TYPE_CHECKING

from amortex.explaining.rendering import summary_line
from amortex.explaining.results import ExplanationResult
from amortex.explaining.rows import Row
from amortex.explaining.saving import panel_png, save_result
from amortex.explaining.views import view_of
from amortex.io.files import data_url

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PANELS = 8  # in a notebook's output


class NotebookResult(ExplanationResult):
    """What `LoadedExplainer.explain` returns: a result that a notebook shows as panels, and that can be saved."""

    def panel(self, index: int = 0) -> "Figure":
        """The input, what is kept of it, the mask and the importance per scale, as ``explain.py`` draws them."""
        return view_of(self).draw(self, index)

    def save(self, folder: str | Path, samples: int | None = None, overwrite: bool = False) -> list[Row]:
        """Write what ``explain.py`` writes: explanations, panels, masks, summaries; the new rows of the summary.

        Inputs that the folder holds already are left as they are.

        Arguments:
            folder: made unless it is there.
            samples: of the certificate; by default those of the largest one that was measured, see `certificate`.
            overwrite: remove the results that the folder holds.

        Raises:
            InputError: the folder cannot be made, or holds results of other settings; one file is explained for two
                classes.
        """
        return save_result(self, Path(folder), samples, overwrite)

    def __repr__(self) -> str:
        return "\n".join(summary_line(source.label, self.row(index)) for index, source in enumerate(self.sources))

    def _repr_html_(self) -> str | None:
        """Panels with players below, of sounds; None of other signals, which notebooks then show as a PNG file."""
        shown, view = [], view_of(self)
        for index in range(min(len(self), MAX_PANELS)):
            below = view.html(self, index)
            if below is None:
                return None
            panel = data_url(panel_png(self, index), "image/png")
            picture = f'<img src="{panel}" style="max-width: 100%">'
            shown.append(f"<div>{picture}<br>{below}</div>")
        return "".join(shown)

    def _repr_png_(self) -> bytes:
        from amortex.explaining.figures import stack

        return stack([panel_png(self, index) for index in range(min(len(self), MAX_PANELS))])
