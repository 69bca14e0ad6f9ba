"""Windows of the shearlet frame, and which frequencies of an image each of its coefficients' frequencies is.

Everything here is numpy, once per size. Frequencies of an image are whole numbers of periods per side. Those at
Nyquist, which even sides have, are split evenly between their two signs, so that every window is symmetric.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EDGES = ("horizontal", "vertical")  # what the two cones of a level respond to, in PyWavelets' order


class FrameBand(NamedTuple):
    """The coefficients of one cone of a level, or of the low-pass.

    Their half spectrum, as `rfft2` gives it, is ``(orientations, rows, columns // 2 + 1)``: ``weight`` times the
    image's spectrum at the flat ``frequency``.
    """

    level: int  # 1 is the finest, 0 the low-pass
    positions: tuple[int, int]
    frequency: Ints
    weight: Floats


@dataclass(frozen=True)
class Frame:
    """The bands, and their adjoint as prefix sums.

    Arguments:
        bands: low-pass, then horizontal and vertical edges of level 1, 2, ...
        places: pass m adds, to the first ``len(places[m])`` of the frequencies that are listed in `order`, the entries
            ``places[m]`` of all half spectra of the bands, flat, one after the other ...
        weights: ... times these.
        order: for each frequency of the image its place in the sums, ``(pixels,)``.
    """

    bands: tuple[FrameBand, ...]
    places: tuple[Ints, ...]
    weights: tuple[Floats, ...]
    order: Ints


def directions(level: int, levels: int) -> int:
    """Number of directions of a level, both cones together: it doubles with every second level, from 8 at the coarsest.

    >>> [directions(level, 4) for level in (1, 2, 3, 4)]
    [16, 16, 8, 8]
    """
    finer = levels - level  # levels that are coarser than this one
    return int(8 * 2 ** (finer // 2))


@lru_cache(maxsize=8)
def shearlet_frame(size: tuple[int, int], levels: int) -> Frame:
    """The frame for images of a size."""
    bands = tuple(_bands(size, levels))
    # adjoint: x = Re ifft(S), where frequencies of half spectra that stand for their mirror image, too, count twice
    frequency, weight = [], []
    for band in bands:
        counts = np.full(band.weight.shape[-1], 2.0)
        counts[0] = 1
        if band.positions[1] % 2 == 0:
            counts[-1] = 1
        frequency.append(band.frequency.ravel())
        weight.append((band.weight * counts).ravel())
    places, weights, order = _prefix_sums(np.concatenate(frequency), np.concatenate(weight), size[0] * size[1])
    return Frame(bands, places, weights, order)


def _bands(size: tuple[int, int], levels: int) -> list[FrameBand]:
    rows, columns = (_frequencies(length) for length in size)
    split = _nyquist_split(rows, size[0])[:, None] * _nyquist_split(columns, size[1])
    y, x = np.broadcast_arrays(2 * rows[:, None] / size[0], 2 * columns / size[1])  # 1 is Nyquist
    radius = np.maximum(abs(y), abs(x))
    low = [np.ones_like(radius), *(_falling(2 ** (level + 1) * radius - 1) for level in range(1, levels + 1))]
    with np.errstate(divide="ignore", invalid="ignore"):  # there is no direction at frequency zero
        turn = np.nan_to_num(np.where(abs(x) <= abs(y), x / y, 2 - y / x))  # from -1 to 3, where it is -1 again
    bands = [_band(0, split * low[levels][None], rows, columns, size, 0)]
    for level in range(1, levels + 1):
        ring = np.sqrt(np.clip(low[level - 1] ** 2 - low[level] ** 2, 0, None))
        count = directions(level, levels)
        centres = -1 + 4 / count * np.arange(count)
        distance = abs((turn - centres[:, None, None] + 2) % 4 - 2)
        windows = split * ring * _falling(distance * count / 4)
        bands += [_band(level, part, rows, columns, size, axis) for axis, part in enumerate(np.split(windows, 2))]
    return bands


def _frequencies(length: int) -> Ints:
    """All frequencies of a side; even ones have Nyquist with both signs."""
    return np.arange(-(length // 2), length // 2 + 1)


def _nyquist_split(frequencies: Ints, length: int) -> Floats:
    return np.where(2 * abs(frequencies) == length, 0.5**0.5, 1.0)


def _falling(t: Floats) -> Floats:
    """Meyer's window: from 1 at ``t <= 0`` to 0 at ``t >= 1``; its squares at t and 1 - t add up to 1."""
    t = np.clip(t, 0, 1)
    window: Floats = np.cos(np.pi / 2 * t**4 * (35 - 84 * t + 70 * t**2 - 20 * t**3))
    return np.where(t >= 1, 0, window)


def _band(level: int, windows: Floats, rows: Ints, columns: Ints, size: tuple[int, int], axis: int) -> FrameBand:
    """Coefficients of windows ``(n, rows, columns)`` along the frequency axis that their cone is about.

    They are sampled as coarsely as can be: along `axis` as often as their highest frequency needs it. Along the other,
    frequencies are wrapped to as many as are next to each other anywhere in a window, so that no two coincide.
    """
    inside = windows > 0
    axes = (rows, columns)
    along = inside.any((0, 2 - axis))
    reach = 2 * int(abs(axes[axis][along]).max()) + 1
    other = 2 - axis  # in `windows`
    first = inside.argmax(other)
    last = inside.shape[other] - 1 - np.flip(inside, other).argmax(other)
    width = int(np.where(inside.any(other), last - first + 1, 1).max())
    lengths = [next_fast_len(reach, real=True), next_fast_len(width, real=True)]
    positions = (lengths[axis], lengths[1 - axis])
    number, row, column = np.nonzero(inside)
    weights = windows[number, row, column]
    y, x = rows[row], columns[column]
    half = x % positions[1] <= positions[1] // 2
    number, y, x, weights = number[half], y[half], x[half], weights[half]
    shape = (len(windows), positions[0], positions[1] // 2 + 1)
    frequency, weight = np.zeros(shape, np.int64), np.zeros(shape)
    place = (number, y % positions[0], x % positions[1])
    frequency[place] = y % size[0] * size[1] + x % size[1]
    weight[place] = weights
    return FrameBand(level, positions, frequency, weight)


def _prefix_sums(frequency: Ints, weight: Floats, pixels: int) -> tuple[tuple[Ints, ...], tuple[Floats, ...], Ints]:
    """Sums of weighted entries by frequency, as `Frame` holds them: frequencies with many entries come first."""
    entries = np.flatnonzero(weight)
    entries = entries[np.argsort(frequency[entries], kind="stable")]
    counts = np.bincount(frequency[entries], minlength=pixels)
    by_count = np.argsort(-counts, kind="stable")
    order = np.empty_like(by_count)
    order[by_count] = np.arange(pixels)
    starts = (np.cumsum(counts) - counts)[by_count]
    prefixes = [int((counts > index).sum()) for index in range(int(counts.max()))]
    places = [entries[starts[:length] + index] for index, length in enumerate(prefixes)]
    return tuple(places), tuple(weight[part] for part in places), order
