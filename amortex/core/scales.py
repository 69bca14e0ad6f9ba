"""What the levels of a transform mean to people: bands in Hz, or sizes in pixels, samples or voxels."""


def level_band(level: int, levels: int, rate: float) -> tuple[float, float]:
    """Frequencies in Hz, from and to, of one of so many levels, for `rate` samples per second.

    Level j, counted from 1 (the finest), is ``rate / 2^(j + 1)`` to ``rate / 2^j``; level 0 is the low-pass below the
    coarsest. Octaves of a Fourier transform are exactly that; wavelets overlap their neighbours.

    >>> level_band(1, 8, 16000)
    (4000.0, 8000.0)
    """
    if level == 0:
        return 0.0, rate / 2 ** (levels + 1)
    return rate / 2 ** (level + 1), rate / 2**level


def level_labels(levels: int, unit: str = "pixels", rate: float | None = None) -> list[str]:
    """Labels of the low-pass (first) and of level 1 (the finest) to the coarsest.

    Arguments:
        levels: how many there are besides the low-pass.
        unit: of a signal's positions, see `Modality`: entries of level j are ``2^j`` of them apart.
        rate: samples per second of a sound; with it labels are bands in Hz.

    >>> level_labels(2)
    ['above 4 pixels', '2 pixels', '4 pixels']
    >>> level_labels(2, rate=16000)
    ['0-2000 Hz', '4000-8000 Hz', '2000-4000 Hz']
    """
    if rate is None:
        return [f"above {2**levels} {unit}", *(f"{2**level} {unit}" for level in range(1, levels + 1))]
    bands = (level_band(level, levels, rate) for level in range(levels + 1))
    return ["-".join(_short(end) for end in band) + " Hz" for band in bands]


def _short(value: float) -> str:
    """Three significant digits, never with an exponent: 31.25 -> 31.2, 22050 -> 22050."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
