"""From sound files to waveforms as classifiers take them, and back."""

import io
import logging
import math
import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amortex.core.errors import InputError
from amortex.io.readers import Readable, readable, refuse_irregular

logger = logging.getLogger(__name__)
DEFAULT_RATE = 16000  # samples per second
RATES = (100, 400_000)  # of files: the filter that resamples grows with the rate
MOST_CHANNELS = 64
STEREO = 2  # channels of an array in memory: more are rather several sounds
CANCELLED = 1e-3  # of the loudest channel: if less is left of all in their mean, it is no mix of them
NEGLIGIBLE = 0.01  # seconds that are left out without a notice: encoders pad sounds by some
UNKNOWN_LENGTH = 0x7FFF0000  # and beyond: what programs write that do not know the length of a sound yet
HALF_LENGTH = 10  # of SciPy's filter, in periods of the lower rate


def sample_rate(data_config: dict[str, Any]) -> int:
    """Samples per second of a classifier's sounds."""
    return int(data_config.get("sample_rate") or DEFAULT_RATE)


class SoundReader:
    """Sound file -> ``(C, T)`` in [-1, 1]: mixed, resampled, cut to its start or padded with silence at its end.

    A classifier's answer for a sound changes with the silence that is appended to it. So a sound keeps its own length
    where the classifier takes any: it loses the digital silence at its end, and is padded as the classifier would.

    Arguments:
        data_config: ``input_size`` ``(C, T)``, and ``sample_rate`` in Hz. With ``lengths``, the shortest that the
            classifier takes and the step to the next, T is the longest; without, all sounds have T samples.
    """

    def __init__(self, data_config: dict[str, Any]) -> None:
        self.channels, self.length = map(int, data_config["input_size"])
        lengths: tuple[int, int] = data_config.get("lengths") or (self.length, 1)
        self.shortest, self.step = lengths
        self.rate, self.assumed = sample_rate(data_config), not data_config.get("sample_rate")
        self.sounds = self.cut = self.clipped = 0
        self.longest, self.read_files = 0.0, False  # seconds; whether any

    def __call__(self, signal: NDArray[Any]) -> Tensor:
        """A waveform of the classifier's rate in memory, ``(T',)`` or ``(C', T')``.

        Raises:
            InputError: it has other axes, is empty, or has values outside [-1, 1].
        """
        if signal.ndim not in (1, 2):
            raise InputError(f"a sound has the axes (T) or (C, T), not {signal.shape}")
        if not signal.size:
            raise InputError(f"an array of no samples is no sound: its shape is {signal.shape}")
        if signal.ndim == 2 and signal.shape[0] > min(MOST_CHANNELS, signal.shape[1]):
            raise InputError(f"a sound has the axes (C, T), and {signal.shape} seems to be (T, C): give its transpose")
        if signal.ndim == 2 and len(signal) > STEREO and len(signal) != self.channels:
            raise InputError(
                f"a sound of {len(signal)} channels in memory is not mixed: give their mean, or a list of sounds"
            )
        if signal.dtype.kind == "i" and signal.dtype.itemsize in (2, 4):
            signal = signal / -float(np.iinfo(signal.dtype).min)
        if not np.issubdtype(signal.dtype, np.floating):
            raise InputError(f"a sound has values in [-1, 1], or integers of 16 or 32 bit, not {signal.dtype}")
        samples = np.atleast_2d(signal).astype(np.float32)
        if np.abs(samples).max() > 1:
            raise InputError(f"a sound has values in [-1, 1], not from {samples.min():g} to {samples.max():g}")
        return self._fitted(samples, "the sound", samples.shape[1] / self.rate)

    def load(self, file: Readable) -> Tensor:
        """Read a file that libsndfile knows (wav, flac, ogg, mp3, ...), or what one holds: as much as is needed.

        Raises:
            InputError: as `read`.
        """
        samples, seconds = self.read(file, self.length)
        return self._fitted(samples, str(file) if not isinstance(file, bytes) else "bytes", seconds)

    def read(self, file: Readable, length: int) -> tuple[NDArray[Any], float]:
        """At most a few more than the first `length` samples of a file at the classifier's rate, and its seconds.

        The samples ``(C', n)`` are in [-1, 1], of as many channels as the classifier takes, or of one.

        Raises:
            InputError: it is missing, unreadable, empty, no sound, or holds values that are not finite, or zeros alone.
        """
        name, opened = ("bytes", io.BytesIO(file)) if isinstance(file, bytes) else (str(file), os.fspath(file))
        with readable(name, "sound", opened):
            import soundfile

            refuse_irregular(file)
            _refuse_cut_short(file, name)
            with soundfile.SoundFile(opened) as sound:
                rate, frames = sound.samplerate, sound.frames
                if not RATES[0] <= rate <= RATES[1] or sound.channels > MOST_CHANNELS:
                    raise InputError(f"{name}: {sound.channels} channels of {rate} samples per second are no sound")
                samples = sound.read(min(frames, self._needed(rate, length)), "float32", always_2d=True).T
        if not samples.size:
            raise InputError(f"{name} holds no sound: it has no samples")
        if not np.isfinite(samples).all():
            raise InputError(f"{name} holds values that are not finite: it is no sound")
        if not samples.any():
            where = "holds" if samples.shape[1] >= frames else f"begins with {samples.shape[1] / rate:.3g} s of"
            raise InputError(f"{name} {where} digital silence: all samples are zero, and there is nothing to explain")
        mixed = self._mixed(samples.clip(-1, 1), name)
        self.read_files = True
        self.clipped += bool(np.abs(samples).max() > 1)
        return self._resampled(mixed, rate), frames / rate

    def give_notices(self) -> None:
        """One notice each of a rate that is assumed, of the sounds that were cut, and of those that were clipped."""
        if self.assumed and self.read_files:
            logger.warning(
                "the classifier does not say its sample rate: sounds are resampled to %d Hz (sample_rate in its "
                "pretrained_cfg takes another)", self.rate,
            )  # fmt: skip
        if self.cut:
            logger.warning(
                "%d of %d sounds are longer than the classifier's input: their first %.4g s are explained, up to %.4g "
                "s are left out (--input-size takes another number of samples)",
                self.cut, self.sounds, self.length / self.rate, self.longest - self.length / self.rate,
            )  # fmt: skip
        if self.clipped:
            logger.warning("%d of %d sounds have values beyond [-1, 1]: they are clipped", self.clipped, self.sounds)

    def _needed(self, rate: int, length: int) -> int:
        """Frames of a file that so many samples depend on: those of its duration, and half a filter more."""
        seconds = length / self.rate + HALF_LENGTH / min(rate, self.rate)
        return math.ceil(seconds * rate) + 1

    def _mixed(self, samples: NDArray[Any], name: str) -> NDArray[Any]:
        """As many channels as the classifier takes, or one.

        Raises:
            InputError: next to nothing is left of several channels in their mean.
        """
        if samples.shape[0] in (1, self.channels):
            return samples
        mixed: NDArray[Any] = samples.mean(0, keepdims=True)
        if np.abs(mixed).max() < CANCELLED * np.abs(samples).max():
            raise InputError(f"{name}: its channels cancel each other: give one of them alone")
        return mixed

    def _resampled(self, mixed: NDArray[Any], rate: int) -> NDArray[Any]:
        """``(C', T')`` at the classifier's rate."""
        if rate == self.rate:
            return mixed
        from scipy.signal import resample_poly

        divisor = math.gcd(rate, self.rate)
        resampled: NDArray[Any] = resample_poly(mixed, self.rate // divisor, rate // divisor, axis=1)
        return resampled

    def _fitting_length(self, samples: NDArray[Any]) -> int:
        """The shortest length that the classifier takes, and that holds all but the digital silence at the end."""
        heard = 1 + max(np.flatnonzero(samples.any(axis=0)), default=-1)
        steps = math.ceil(max(0, heard - self.shortest) / self.step)
        return int(min(self.length, self.shortest + self.step * steps))

    def _fitted(self, samples: NDArray[Any], name: str, seconds: float) -> Tensor:
        """``(C', T')`` with as many channels and samples as the classifier takes."""
        if not np.isfinite(samples).all():
            raise InputError(f"{name} holds values that are not finite")
        samples = self._mixed(samples, name)
        self.sounds += 1
        if seconds >= self.length / self.rate + NEGLIGIBLE:
            self.cut, self.longest = self.cut + 1, max(self.longest, seconds)
        taken = samples[:, : self.length]
        signal = torch.zeros(self.channels, self._fitting_length(taken))
        taken = np.ascontiguousarray(taken[:, : signal.shape[1]], np.float32)
        signal[:, : taken.shape[1]] = torch.from_numpy(taken)
        return signal.clamp_(-1, 1)


def _refuse_cut_short(file: Readable, name: str) -> None:
    """Raises InputError for a WAV file that ends within its samples: libsndfile takes what there is of them."""
    with io.BytesIO(file) if isinstance(file, bytes) else open(file, "rb") as opened:
        total, place = opened.seek(0, os.SEEK_END), 12
        opened.seek(0)
        head = opened.read(12)
        while head.startswith(b"RIFF") and place + 8 <= total:  # chunks: a name, the length of what follows, and that
            opened.seek(place)
            chunk = opened.read(8)
            length = int.from_bytes(chunk[4:], "little")
            if chunk.startswith(b"data"):
                missing = place + 8 + length - total
                if missing > 0 and length < UNKNOWN_LENGTH:
                    raise InputError(f"{name} is cut short: {missing:,} of {length:,} bytes of sound are missing")
                return
            place += 8 + length + length % 2


def wav_bytes(signal: Tensor, rate: int) -> bytes:
    """A WAV file of 32-bit floats of a waveform ``(C, T)``, which may exceed [-1, 1]."""
    from scipy.io import wavfile

    buffer = io.BytesIO()
    wavfile.write(buffer, rate, signal.detach().cpu().float().numpy().T)
    return buffer.getvalue()
