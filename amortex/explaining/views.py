"""What is shown and written of one explanation besides its mask: one view for each kind of signals.

Matplotlib is imported only where a panel is drawn.
"""

from typing import TYPE_CHECKING, Protocol

from amortex.core.catalog import load
from amortex.explaining.results import ExplanationResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VIEWS = {
    1: "amortex.explaining.sound_view:SoundView",
    2: "amortex.explaining.image_view:ImageView",
    3: "amortex.explaining.volume_view:VolumeView",
}  # by the number of a signal's axes


class View(Protocol):
    """Shows one input of a result."""

    def draw(self, result: ExplanationResult, index: int) -> "Figure":
        """The panel: the input, what is kept of it, the mask, and the importance per scale."""
        ...

    def files(self, result: ExplanationResult, index: int) -> dict[str, bytes]:
        """Contents of the files besides mask and panel, by the endings of their names."""
        ...

    def html(self, result: ExplanationResult, index: int) -> str | None:
        """What a notebook shows below the panel; None where that is nothing."""
        ...


def view_of(result: ExplanationResult) -> View:
    """The view for the signals of a result."""
    view: View = load(VIEWS[len(result.encoded.layout.size)])()
    return view
