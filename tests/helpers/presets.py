"""A preset of few steps and a small transform, which tests of RDE share."""

from amortex.explainers.presets import Preset
from amortex.transforms.wavelet import Wavelet

SHORT = Preset("short", steps=250, samples=2, lr=4e-2, schedule="cosine")
HAAR = Wavelet("haar", 2, "periodization")  # orthonormal: the analysis of an image reads off its coefficients
