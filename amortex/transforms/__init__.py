"""Linear invertible transforms; the contract test runs every class listed here."""

from amortex.transforms.base import Transform
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.wavelet import Wavelet

__all__ = ["Fourier", "Pixel", "Transform", "Wavelet"]
