"""The two objects that every part of amortex hands to the next: coefficients and their layout.

A transform turns signals ``(B, C, *size)`` into `Coefficients`: one tensor per *band*, each
``(B, C, *positions)``. A *mask* or *relevance* is a flat tensor ``(B, k)``: one number per position, which the
channels share. `Layout` translates between the flat and the banded view, and knows the group, the level and the
orientation of every entry.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor


class Band(NamedTuple):
    """One tensor of coefficients: its name and its positions (batch and channels left out).

    For wavelet details the first axis of `shape` runs over the orientations.
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Layout:
    """Where each of the `k` mask entries of a signal lives.

    Arguments:
        bands: the coefficient tensors in the order in which ``(..., k)`` holds them.
        size: of the signals that the coefficients describe, without batch and channels.
        groups: names of the groups that share noise statistics (CartoonX, section 4.1).
        group: ``(k,)`` int64, index into `groups` of each entry.
        level: ``(k,)`` int64, 1 is the finest scale; 0 marks the low-pass or a transform without scales.
        orientation: ``(k,)`` int64, place of the detail within its level, in PyWavelets' order (of an image: 0
            horizontal, 1 vertical, 2 diagonal); -1 without one.
        is_complex: whether a position holds a complex number.
    """

    bands: tuple[Band, ...]
    size: tuple[int, ...]
    groups: tuple[str, ...]
    group: Tensor
    level: Tensor
    orientation: Tensor
    is_complex: bool = False

    @cached_property
    def k(self) -> int:
        """Number of mask entries per signal, which is not its number of samples or pixels."""
        return sum(prod(band.shape) for band in self.bands)

    @cached_property
    def membership(self) -> Tensor:
        """``(k, groups)``, 1 where an entry belongs to a group."""
        with torch.inference_mode(False):  # the tensor outlives that mode
            return torch.nn.functional.one_hot(self.group, len(self.groups)).float()

    def split(self, flat: Tensor) -> tuple[Tensor, ...]:
        """View ``(..., k)`` as one ``(..., *positions)`` tensor per band."""
        sizes = [prod(band.shape) for band in self.bands]
        parts = flat.split(sizes, dim=-1)
        return tuple(part.unflatten(-1, band.shape) for part, band in zip(parts, self.bands, strict=True))

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Flatten one ``(..., *positions)`` tensor per band into ``(..., k)``; the inverse of `split`."""
        return torch.cat([part.flatten(-len(band.shape)) for part, band in zip(parts, self.bands, strict=True)], dim=-1)


class Coefficients(NamedTuple):
    """``h = T(x)``: one ``(B, C, *positions)`` tensor per band of `layout`."""

    bands: tuple[Tensor, ...]
    layout: Layout

    @property
    def flat(self) -> Tensor:
        """All coefficients as ``(B, C, k)``."""
        return self.layout.join(self.bands)

    def masked(self, mask: Tensor) -> "Coefficients":
        """``s h``, what masks s ``(B, k)`` keep, and zero for the rest; of one signal, B masks make B of them."""
        return self.map(torch.mul, self.layout.split(mask[:, None]))

    def map(self, function: Callable[..., Tensor], *operands: Sequence[Tensor]) -> "Coefficients":
        """Apply `function` band by band; its further arguments are the bands of `operands`, as `Layout.split` gives."""
        return Coefficients(tuple(function(*bands) for bands in zip(self.bands, *operands, strict=True)), self.layout)
