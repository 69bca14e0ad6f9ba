"""Invented edges: how much an explanation picture draws that is not in the image. For images alone."""

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from skimage.feature import canny
from torch import Tensor

from amortex.core.errors import InputError

# of grey images in [0, 1]; scikit-image's defaults
CANNY_OPTIONS = {"sigma": 1.0, "low_threshold": 0.1, "high_threshold": 0.2}


def hallucination(image: Tensor, picture: Tensor) -> Tensor:
    """Edges of a grey picture ``(B, 1, H, W)`` that the image ``(B, C, H, W)`` lacks, over the image's edges, ``(B,)``.

    Edges are Canny's (`CANNY_OPTIONS`); those of the image are widened by one pixel (ShearletX; Kolek et al., CVPR
    2023). NaN for an image without edges, and for a black picture, that of an empty
    mask: it invents nothing, and shows nothing.

    Raises:
        InputError: signals that are no images.

    >>> square = torch.zeros(1, 1, 32, 32)
    >>> square[..., 8:24, 8:24] = 1.0
    >>> hallucination(square, square)
    tensor([0.])
    """
    if image.ndim != 4:
        raise InputError(f"hallucination is about edges of images (B, C, H, W), not of signals {tuple(image.shape)}")
    shares = []
    for grey, drawn in zip(image.mean(1).cpu().numpy(), picture[:, 0].cpu().numpy(), strict=True):
        image_edges, picture_edges = (canny(pixels.astype(np.float64), **CANNY_OPTIONS) for pixels in (grey, drawn))
        invented = picture_edges & ~binary_dilation(image_edges, np.ones((3, 3), bool))
        defined = image_edges.any() and drawn.any()
        shares.append(invented.sum() / image_edges.sum() if defined else np.nan)
    return torch.tensor(np.array(shares), dtype=image.dtype, device=image.device)
