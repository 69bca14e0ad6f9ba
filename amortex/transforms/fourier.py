"""The orthonormal real Fourier transform: masks over frequencies."""

from functools import lru_cache

import torch
from torch import Tensor

from amortex.transforms.base import Transform
from amortex.types import Band, Coefficients, Layout


class Fourier(Transform):
    """``T = rfft`` (orthonormal, over all spatial axes), one mask entry per complex coefficient.

    Groups are radial octaves: with the radius ``r = |frequency|`` in units of the Nyquist frequency, level 1
    (the finest) holds ``r > 1/2``, level 2 ``1/4 < r <= 1/2``, and so on; everything at or below ``2**-octaves`` is
    the low-pass.

    >>> Fourier()(torch.rand(2, 3, 8, 8)).layout.k  # 8 x (8 / 2 + 1)
    40
    """

    def __init__(self, octaves: int = 5) -> None:
        super().__init__()
        self.octaves = octaves

    def layout(self, size: tuple[int, ...], device: torch.device | None = None) -> Layout:
        return _layout(tuple(size), self.octaves, device)

    def forward(self, x: Tensor) -> Coefficients:
        spectrum = torch.fft.rfftn(x, dim=tuple(range(2, x.ndim)), norm="ortho")
        return Coefficients((spectrum,), self.layout(tuple(x.shape[2:]), x.device))

    def inverse(self, coefficients: Coefficients) -> Tensor:
        (spectrum,), size = coefficients.bands, coefficients.layout.image_size
        return torch.fft.irfftn(spectrum, s=size, dim=tuple(range(2, spectrum.ndim)), norm="ortho")

    def spatial_map(self, relevance: Tensor, coefficients: Coefficients) -> Tensor:
        """A frequency has no place: the map is where the relevance-weighted image has its energy."""
        weight = coefficients.layout.split(relevance[:, None])
        return self.inverse(coefficients.map(torch.mul, weight)).abs().sum(1)

    def settings(self) -> dict[str, str | int]:
        return {**super().settings(), "octaves": self.octaves}


@lru_cache(maxsize=16)
def _layout(size: tuple[int, ...], octaves: int, device: torch.device | None) -> Layout:
    axes = [torch.fft.fftfreq(n, d=0.5, device=device) for n in size[:-1]]
    axes.append(torch.fft.rfftfreq(size[-1], d=0.5, device=device))
    squared = torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(0)
    # 1 + the number of halvings until r > 2**-level; the low-pass is level 0, as in the wavelet layout.
    finest_first = torch.stack([squared <= 4.0**-j for j in range(1, octaves + 1)]).sum(0).flatten() + 1
    level = torch.where(finest_first > octaves, 0, finest_first)
    groups = ("low", *(f"level{j}" for j in range(1, octaves + 1)))
    band = Band("mask", tuple(squared.shape))
    return Layout((band,), size, groups, level, level, torch.full_like(level, -1), is_complex=True)
