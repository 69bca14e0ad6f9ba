"""ShearletX's spatial penalty: what an explanation shows, it must need."""

import torch
from torch import Tensor

from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion


class SpatialPenalty:
    """``P(s) = lambda_2 * mean over pixels of |T^-1(s * T(grey(x)))|``: the l1 norm of the explanation in pixel space.

    A mask can be sparse and its picture still be full, since a few coarse coefficients paint large areas. The penalty
    takes away blurs that the class does not need (Kolek et al., Explaining Image Classifiers with Multiscale
    Directional Image Representation, CVPR 2023).

    Arguments:
        rd: over the transform of the masks.
        encoded: the images.
        weight: lambda_2, at least 0; at 0 nothing is computed.
    """

    def __init__(self, rd: RateDistortion, encoded: EncodedBatch, weight: float) -> None:
        self.rd, self.weight, self.layout = rd, weight, encoded.layout
        self._grey = []
        if weight:
            with torch.no_grad():
                grey = encoded.image.mean(1, keepdim=True)
                self._grey = [(images, rd.transform(grey[images])) for images in rd.chunks(len(grey))]

    def value(self, mask: Tensor) -> Tensor:
        """P of masks ``(B, k)``, ``(B,)``."""
        total = torch.zeros_like(mask[:, 0])
        for images, grey in self._grey:
            masks = self.layout.split(mask[images, None])
            total[images] = self.weight * self.rd.transform.inverse(grey.map(torch.mul, masks)).abs().flatten(1).mean(1)
        return total

    def gradient(self, mask: Tensor) -> Tensor:
        """The gradient of P by masks ``(B, k)``, ``(B, k)``."""
        if not self._grey:
            return torch.zeros_like(mask[:, :1])
        with torch.enable_grad():
            leaf = mask.detach().requires_grad_()
            return torch.autograd.grad(self.value(leaf).sum(), leaf)[0]
