"""Images of several sizes in training, so that an explainer knows more than the classifier's own."""

import torch
from torch import Tensor
from torch.nn import functional as F

from amortex.amortized.predictor import MaskPredictor
from amortex.core.errors import InputError, first_line
from amortex.core.noise_streams import shared_draw


class InputSizes:
    """Shrinks a batch of images to a size that is drawn for each step of training.

    The shorter side is the classifier's own, or a smaller multiple of 2^J for J levels, all equally often.

    Arguments:
        predictor: that is trained.
        smallest_side: limit of the shorter side in pixels; None leaves images as they are.
        seed: of all randomness.

    Raises:
        InputError: the inputs are no images, or cannot have that size.
    """

    def __init__(self, predictor: MaskPredictor, smallest_side: int | None, seed: int = 0) -> None:
        self.seed = seed
        channels, *size = predictor.rate_distortion.classifier.input_size
        self.sizes = [tuple(size)]
        if smallest_side is None:
            return
        if len(size) != 2:
            raise InputError("smallest_side is for images alone: leave it out")
        step, shorter = 2**predictor.decoder.levels, min(size)
        largest = (shorter - 1) // step * step  # side of a shrunk image
        if not step <= smallest_side <= largest:
            raise InputError(f"smallest_side must be between {step} and {largest}, not {smallest_side}")
        for side in range(largest, smallest_side - 1, -step):
            self.sizes.append(tuple(side if n == shorter else round(n * side / shorter / step) * step for n in size))
        try:
            with torch.no_grad():
                predictor.rate_distortion.phi(torch.zeros(1, channels, *self.sizes[-1]))
        except Exception as error:  # networks refuse a size with errors of their own
            smallest = "x".join(map(str, self.sizes[-1]))
            raise InputError(
                f"the classifier takes no images of {smallest} ({first_line(error)}): leave out smallest_side"
            ) from error

    def __call__(self, image: Tensor, training_step: int) -> Tensor:
        """Images ``(B, C, H, W)`` at the size of a training step."""
        if len(self.sizes) == 1:
            return image
        size = self.sizes[int(shared_draw(training_step, self.seed, "size") * len(self.sizes))]
        return image if size == image.shape[2:] else F.interpolate(image, size, mode="bilinear", antialias=True)
