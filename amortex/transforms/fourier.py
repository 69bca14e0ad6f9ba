"""The orthonormal real Fourier transform: masks over frequencies."""

from functools import lru_cache
from math import prod

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.layout import Band, Coefficients, Layout
from amortex.transforms.base import Transform


class Fourier(Transform):
    """``T = rfft`` (orthonormal, over all spatial axes), one mask entry per complex coefficient.

    Groups are radial octaves: with the radius ``r = |frequency|`` in units of the Nyquist frequency, level 1
    (the finest) holds ``r > 1/2``, level 2 ``1/4 < r <= 1/2``, and so on; everything at or below ``2**-octaves`` is
    the low-pass.

    In the columns of horizontal frequency zero and (for even widths) Nyquist, both signs of the vertical frequency have
    an entry of their own and the inverse takes the mean of the two, so their noise has half the variance: about 1 % of
    the entries at 224 pixels.

    Raises:
        InputError: `octaves` < 1.

    >>> Fourier()(torch.rand(2, 3, 8, 8)).layout.k  # 8 x (8 / 2 + 1)
    40
    """

    def __init__(self, octaves: int = 5) -> None:
        super().__init__()
        if octaves < 1:
            raise InputError(f"a Fourier transform needs at least one octave, not {octaves}")
        self.octaves = octaves

    def layout(self, size: tuple[int, ...], device: torch.device | None = None) -> Layout:
        return _layout(tuple(size), self.octaves, device)

    def forward(self, x: Tensor) -> Coefficients:
        spectrum = torch.fft.rfftn(x, dim=tuple(range(2, x.ndim)), norm="ortho")
        return Coefficients((spectrum,), self.layout(tuple(x.shape[2:]), x.device))

    def inverse(self, coefficients: Coefficients) -> Tensor:
        return self._image(coefficients.bands[0], coefficients.layout.size)

    def _image(self, spectrum: Tensor, size: tuple[int, ...]) -> Tensor:
        image: Tensor = torch.fft.irfftn(spectrum, s=size, dim=tuple(range(2, spectrum.ndim)), norm="ortho")
        return image

    def spatial_map(self, relevance: Tensor, coefficients: Coefficients) -> Tensor:
        """A frequency has no place: the map is where the relevance-weighted image has its energy."""
        weight = coefficients.layout.split(relevance[:, None])
        return self.inverse(coefficients.map(torch.mul, weight)).abs().sum(1)

    def settings(self) -> dict[str, str | int]:
        return {**super().settings(), "octaves": self.octaves}


@lru_cache(maxsize=16)
def _layout(size: tuple[int, ...], octaves: int, device: torch.device | None) -> Layout:
    # In integers, so that a radius on the border between octaves is never rounded across it: r = 2 |f| / pixels.
    pixels = prod(size)
    axes = [(torch.fft.fftfreq(n, d=1 / n).round().long() * (pixels // n)).square() for n in size]
    axes[-1] = axes[-1][: size[-1] // 2 + 1]
    squared = torch.stack(torch.meshgrid(*axes, indexing="ij")).sum(0)
    # 1 + the number of halvings until r > 2**-level; the low-pass is level 0, as in the wavelet layout.
    inside = [squared.double() * 4.0 ** (j + 1) <= pixels**2 for j in range(1, octaves + 1)]
    finest_first = torch.stack(inside).sum(0).flatten() + 1
    level = torch.where(finest_first > octaves, 0, finest_first).to(device)
    groups = ("low", *(f"level{j}" for j in range(1, octaves + 1)))
    band = Band("mask", tuple(squared.shape))
    return Layout((band,), size, groups, level, level, torch.full_like(level, -1), is_complex=True)
