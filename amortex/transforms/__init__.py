"""Invertible transforms, all but one linear: a new one is one file and one line here. The contract test runs each."""

from typing import Literal

Padding = Literal["zero", "symmetric", "reflect", "periodization"]  # how signals go on beyond their border

TRANSFORMS = {
    "wavelet": "amortex.transforms.wavelet:Wavelet",
    "pixel": "amortex.transforms.pixel:Pixel",
    "fourier": "amortex.transforms.fourier:Fourier",
    "polar": "amortex.transforms.polar:Polar",
    "shearlet": "amortex.transforms.shearlet:Shearlet",
}
