"""The panel of a sound: waveforms, spectrograms, and the mask over time and frequency."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.signal import ShortTimeFFT
from torch import Tensor
from torch.nn import functional as F

from amortex.core.masks import scale_profile
from amortex.core.scales import level_labels
from amortex.explaining.figures import (
    ACCENT,
    COLOURS,
    HEAT,
    INK,
    TITLE_LINE,
    draw_colour_bar,
    draw_histogram,
    draw_scales,
    is_ranked,
    write_title,
)  # fmt: skip
from amortex.explaining.results import ExplanationResult
from amortex.transforms.fourier import Fourier

WINDOW = 0.025  # seconds
DYNAMICS = 80  # dB that a spectrogram shows below its brightest point
MOST_COLUMNS = 800  # of the mask: finer than the panel shows


def sound_panel(result: ExplanationResult, index: int, rate: int, title: Sequence[str]) -> Figure:
    """Waveform and spectrogram of a sound, below them those of what is kept; the mask, and its share per band.

    Arguments:
        result, index: the explanation.
        rate: samples per second.
        title: lines above the panel; the first is set in bold.
    """
    height = 5.4 + TITLE_LINE * len(title)  # in inches
    figure = Figure(figsize=(12, height), dpi=150)
    grid = {
        "left": 0.055, "right": 0.968, "bottom": 0.45 / height, "top": 4.95 / height, "wspace": 0.32, "hspace": 0.5,
    }  # fmt: skip
    axes = figure.subplots(2, 3, gridspec_kw=grid)
    sounds = [signals[index].detach().mean(0).cpu() for signals in (result.encoded.image, result.kept)]
    spectrograms = [decibels(sound, rate) for sound in sounds]
    loudest, highest = spectrograms[0].max(), max(float(sound.abs().max()) for sound in sounds)
    for row, (name, sound, spectrogram) in enumerate(zip(("Sound", "Kept"), sounds, spectrograms, strict=True)):
        seconds = len(sound) / rate
        _waveform(axes[row, 0], name, sound, seconds, highest)
        extent = (0, seconds, 0, rate / 2000)
        axes[row, 1].imshow(
            spectrogram, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=loudest - DYNAMICS,
            vmax=loudest,
        )  # fmt: skip
        _label(axes[row, 1], f"{name}: spectrogram ({DYNAMICS} dB)", "seconds", "kHz")
    _mask(axes[0, 2], axes[1, 2], result, index, rate)
    write_title(figure, title)
    return figure


def _mask(upper: Axes, lower: Axes, result: ExplanationResult, index: int, rate: int) -> None:
    """The mask over time and frequency, and the share of each band."""
    layout, mask, relevance = result.encoded.layout, result.mask[index].cpu(), result.importance[index].cpu()
    levels, seconds, ranked = int(layout.level.max()), layout.size[0] / rate, is_ranked(mask, relevance)
    if isinstance(result.rate_distortion.transform, Fourier):
        for band, values, colour in zip(layout.bands, layout.split(mask.detach()), COLOURS, strict=False):
            upper.plot(np.linspace(0, rate / 2000, len(values)), values.numpy(), color=colour, lw=0.6, label=band.name)
        if len(layout.bands) > 1:  # magnitudes and phases
            upper.legend(fontsize=7, loc="lower right")
        upper.set(xlim=(0, rate / 2000), ylim=(-0.02, 1.02))
        _label(upper, "Mask over frequencies", "kHz", "mask")
    else:
        maps = result.rate_distortion.transform.level_maps(result.mask[[index]].float(), result.encoded.coefficients)
        shown = F.adaptive_max_pool1d(maps.detach().cpu(), min(MOST_COLUMNS, layout.size[0]))[0]
        rows = torch.cat([shown[:1], shown[1:].flip(0)])  # the low-pass lowest, the finest level on top
        extent = (0, seconds, 0, len(rows))
        image = upper.imshow(
            rows, origin="lower", aspect="auto", extent=extent, interpolation="nearest", **HEAT
        )  # fmt: skip
        _label(upper, "Mask over bands" if levels else "Mask over samples", "seconds", "Hz" if levels else "")
        ends = [rate / 2 ** (levels + 2 - row) for row in range(1, levels + 2)]
        upper.set_yticks(range(1, levels + 2) if levels else [], [f"{end:.4g}" for end in ends] if levels else [])
        draw_colour_bar(upper, image)
    of = "Relevance" if ranked else "Mask"
    if levels:
        profile = scale_profile(relevance[None], layout.level.cpu(), levels)[0]
        draw_scales(lower, f"{of} per band (%)", profile, level_labels(levels, rate=rate), across=True)
    else:
        scaled = relevance / relevance.amax().clamp(min=1e-12) if ranked else mask
        draw_histogram(lower, f"{of} (% of entries)", scaled)


def _waveform(axis: Axes, name: str, sound: Tensor, seconds: float, highest: float) -> None:
    axis.plot(np.linspace(0, seconds, len(sound)), sound.numpy(), color=ACCENT, lw=0.5)
    axis.set(xlim=(0, seconds), ylim=(-1.05 * highest - 1e-9, 1.05 * highest + 1e-9))
    axis.spines[["top", "right"]].set_visible(False)
    _label(axis, name, "seconds", "amplitude")


def decibels(sound: Tensor, rate: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The power spectrogram ``(frequencies, times)`` of a waveform ``(T)``, in dB."""
    length = min(max(8, round(WINDOW * rate)), len(sound))
    hop = max(1, length // 4)
    transform = ShortTimeFFT(np.hanning(length + 2)[1:-1], hop, rate, scale_to="magnitude")
    last = max(1, -(-len(sound) // hop))
    power: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = transform.spectrogram(
        sound.numpy().astype(np.float64), p0=0, p1=last
    )
    return np.asarray(10 * np.log10(power + 1e-12))


def _label(axis: Axes, title: str, x: str, y: str) -> None:
    axis.set_title(title, fontsize=9.5, color=INK)
    axis.set_xlabel(x, fontsize=8.5, color=INK, labelpad=1)
    axis.set_ylabel(y, fontsize=8.5, color=INK, labelpad=1)
    axis.tick_params(labelsize=7.5, colors=INK, length=2)
