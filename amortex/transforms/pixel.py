"""The identity: masks over pixels (Pixel RDE; Macdonald et al. 2019)."""

from functools import lru_cache
from math import prod

import torch
from torch import Tensor

from amortex.core.layout import Band, Coefficients, Layout
from amortex.transforms.base import Transform


class Pixel(Transform):
    """``T = identity``: one band, one group, ``k`` = number of pixels.

    >>> Pixel()(torch.rand(2, 3, 8, 8)).layout.k
    64
    """

    def layout(self, size: tuple[int, ...], device: torch.device | None = None) -> Layout:
        return _layout(tuple(size), device)

    def forward(self, x: Tensor) -> Coefficients:
        return Coefficients((x,), self.layout(tuple(x.shape[2:]), x.device))

    def inverse(self, coefficients: Coefficients) -> Tensor:
        return coefficients.bands[0]

    def reaches(self, region: Tensor) -> Tensor:
        return region.flatten(1)

    def spatial_map(self, relevance: Tensor, coefficients: Coefficients) -> Tensor:
        spatial: Tensor = relevance.unflatten(-1, coefficients.layout.size)
        return spatial


@lru_cache(maxsize=16)
def _layout(size: tuple[int, ...], device: torch.device | None) -> Layout:
    zeros = torch.zeros(prod(size), dtype=torch.int64, device=device)
    return Layout((Band("mask", size),), size, ("pixels",), zeros, zeros, zeros - 1)
