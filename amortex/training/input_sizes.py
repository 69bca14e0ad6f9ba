"""Images of several sizes in training, so that an explainer knows more than the classifier's own."""

import torch
from torch import Tensor
from torch.nn import functional as F

from amortex.amortized.predictor import MaskPredictor
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams, uniform


def draw_for_all(training_step: int, seed: int, stream: str) -> float:
    """A number in [0, 1) for a step of training: the same on all devices, so that none waits for another."""
    streams = NoiseStreams.numbered([training_step], seed, stream)
    return streams.fill(uniform, slice(None), 1, (1,), torch.float32).item()


class InputSizes:
    """Shrinks a batch of images to a size that is drawn for each step of training.

    Arguments:
        predictor: that is trained.
        smallest_side: shorter side in pixels that images are shrunk to at most; None leaves them as they are.
        seed: of all randomness.

    Raises:
        InputError: the inputs are no images, or the classifier takes no images of that size.
    """

    def __init__(self, predictor: MaskPredictor, smallest_side: int | None, seed: int = 0) -> None:
        self.seed = seed
        channels, *size = predictor.rate_distortion.classifier.input_size
        self.sizes = [tuple(size)]
        if smallest_side is None:
            return
        if len(size) != 2:
            raise InputError("smallest_side is for images: sounds and volumes cannot be shrunk")
        # sides that a transform of so many levels halves without remainder
        step, shorter = 2**predictor.decoder.levels, min(size)
        if not step <= smallest_side <= shorter:
            raise InputError(f"smallest_side must be between {step} and {shorter}, not {smallest_side}")
        sides = range(shorter, smallest_side - 1, -step)
        self.sizes = [tuple(max(1, round(n * side / shorter / step)) * step for n in size) for side in sides]
        self.sizes[0] = tuple(size)
        try:
            with torch.no_grad():
                predictor.rate_distortion.phi(torch.zeros(1, channels, *self.sizes[-1]))
        except Exception as error:  # networks refuse a size with errors of their own
            smallest = "x".join(map(str, self.sizes[-1]))
            raise InputError(f"the classifier takes no images of {smallest}: leave out smallest_side") from error

    def __call__(self, image: Tensor, training_step: int) -> Tensor:
        """Images ``(B, C, H, W)`` at the size of a training step."""
        if len(self.sizes) == 1:
            return image
        size = self.sizes[int(draw_for_all(training_step, self.seed, "size") * len(self.sizes))]
        return image if size == image.shape[2:] else F.interpolate(image, size, mode="bilinear", antialias=True)
