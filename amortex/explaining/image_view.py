"""Images, and spectrograms, which are drawn upright: a grey picture of what is kept, and the panel."""

import io
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from amortex.explaining.rendering import title_lines
from amortex.explaining.results import ExplanationResult
from amortex.io.files import EXPLANATION_ENDING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ImageView:
    """Image, explanation, mask and importance per scale; the explanation is also a file of its own."""

    def draw(self, result: ExplanationResult, index: int) -> "Figure":
        from amortex.explaining.plots import panel

        encoded, front_end = result.encoded, result.rate_distortion.classifier.front_end
        return panel(
            encoded.image[index].cpu(), result.picture[index].cpu(), result.mask[index].cpu(),
            result.importance[index].cpu(), encoded.layout, title_lines(result.row(index), list(result.extra)),
            _is_spectrogram(result), getattr(front_end, "frame_seconds", None), getattr(front_end, "frequencies", None),
        )  # fmt: skip

    def files(self, result: ExplanationResult, index: int) -> dict[str, bytes]:
        picture = result.picture[index]
        return {EXPLANATION_ENDING: grey_png(picture.mT.flip(1) if _is_spectrogram(result) else picture)}

    def html(self, result: ExplanationResult, index: int) -> str | None:
        return None


def _is_spectrogram(result: ExplanationResult) -> bool:
    return result.rate_distortion.classifier.data_config.get("domain") == "mel"


def grey_png(picture: Tensor) -> bytes:
    """A grey picture ``(1, H, W)`` in [0, 1] as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray((picture[0] * 255).round().to(torch.uint8).cpu().numpy()).save(buffer, "PNG")
    return buffer.getvalue()
