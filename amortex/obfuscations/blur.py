"""Replacement by a blurred copy of the image."""

from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from amortex.core.layout import Coefficients
from amortex.obfuscations.base import Obfuscation, Replacement
from amortex.transforms.base import Transform


class Blur(Obfuscation):
    """``v = T(blurred x)``: a Gaussian blur whose standard deviation is `fraction` of the image's short side."""

    def __init__(self, fraction: float = 0.05) -> None:
        self.fraction = fraction

    def replacement(self, image: Tensor, coefficients: Coefficients, transform: Transform) -> Replacement:
        short = min(image.shape[2:])
        sigma = max(self.fraction * short, 0.1)
        reach = min(round(3 * sigma), short - 1)  # a reflected border cannot be longer than the image
        blurred = gaussian_blur(image, [2 * reach + 1, 2 * reach + 1], [sigma, sigma])
        return Replacement(transform(blurred).flat, None)
