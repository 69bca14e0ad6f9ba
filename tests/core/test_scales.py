"""What levels mean: bands in Hz, and sizes."""

from itertools import pairwise

import numpy as np
import pytest
import pywt

from amortex.core.scales import level_band, level_labels


def test_the_bands_of_all_levels_are_those_between_silence_and_nyquist():
    bands = [level_band(level, 8, 16000) for level in (0, *range(8, 0, -1))]
    assert bands[0][0] == 0
    assert bands[-1][1] == 8000
    assert all(below[1] == above[0] for below, above in pairwise(bands))


@pytest.mark.parametrize("level", [0, 1, 3, 5])
def test_a_tone_has_most_of_its_energy_at_the_level_of_its_frequency(level):
    rate, levels = 16000, 5
    low, high = level_band(level, levels, rate)
    tone = np.sin(2 * np.pi * (low * high) ** 0.5 * np.arange(4096) / rate) if level else np.ones(4096)
    coarsest, *details = pywt.wavedec(tone, "db6", "zero", levels)
    energies = [np.square(band).sum() for band in (coarsest, *reversed(details))]
    assert int(np.argmax(energies)) == level


def test_labels_are_short():
    assert level_labels(3, "voxels") == ["above 8 voxels", "2 voxels", "4 voxels", "8 voxels"]
    assert level_labels(8, rate=16000)[-1] == "31.2-62.5 Hz"
    assert level_labels(1, rate=44100) == ["0-11025 Hz", "11025-22050 Hz"]
