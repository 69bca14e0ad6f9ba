"""The log-mel spectrogram that YAMNet sees, as TensorFlow computes it."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SAMPLE_RATE = 16000  # Hz
WINDOW, HOP, FFT = 400, 160, 512  # samples: 25 ms, 10 ms, and the length of a window with zeros appended
BANDS, LOWEST, HIGHEST = 64, 125.0, 7500.0  # mel bands, and their limits in Hz
OFFSET = 1e-3  # added to magnitudes before the logarithm


class LogMel(nn.Module):
    """Waveforms ``(B, 1, T)`` at 16 kHz -> log-mel spectrograms ``(B, 1, 1 + (T - 400) // 160, 64)``.

    ``log(M |STFT| + 0.001)``: magnitudes, not powers, of windows of 25 ms every 10 ms (periodic Hann), in 64 triangular
    mel bands from 125 to 7500 Hz. It computes in float32 at least. The gradient of a magnitude of zero is zero.

    Attributes:
        value_range: silence, and what no waveform in [-1, 1] exceeds.
        frequencies: the centres of the bands, in Hz, rising.

    References:
        features.py of https://github.com/tensorflow/models/tree/master/research/audioset/yamnet
    """

    window: Tensor
    mel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW, dtype=torch.float64).float(), persistent=False)
        self.register_buffer("mel", mel_matrix().float(), persistent=False)
        # of samples in [-1, 1]: by Parseval half of all energies sum to at most FFT / 2 times that of the window
        loudest = (FFT / 2 * self.window.square().sum()).sqrt() * self.mel.norm(dim=0).max()
        self.value_range = math.log(OFFSET), math.log(float(loudest) + OFFSET)
        self.frequencies = tuple((700 * (band_edges()[1:-1] / 1127).expm1()).tolist())

    def forward(self, waveform: Tensor) -> Tensor:
        dtype = torch.promote_types(waveform.dtype, torch.float32)
        with torch.autocast(waveform.device.type, enabled=False):
            frames = waveform.to(dtype).unfold(-1, WINDOW, HOP) * self.window.to(dtype)
            magnitudes = torch.fft.rfft(frames, FFT).abs()
            logarithms: Tensor = (magnitudes @ self.mel.to(dtype) + OFFSET).log()
        return logarithms


def mel_matrix() -> Tensor:
    """Weights ``(257, 64)`` of frequencies in mel bands, in float64: ``tf.signal.linear_to_mel_weight_matrix``.

    Bands are triangles on the mel scale, each from the centre of the one below to that of the one above. The frequency
    zero is in none.
    """
    frequencies = mel(torch.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1, dtype=torch.float64))[:, None]
    edges = band_edges()
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - lower) / (centre - lower), (upper - frequencies) / (upper - centre)
    return F.pad(torch.minimum(rising, falling).clamp(min=0)[1:], (0, 0, 1, 0))


def band_edges() -> Tensor:
    """The lower end of the lowest band, the centres of all, and the upper end of the highest, in mel, ``(66,)``."""
    low, high = mel(torch.tensor([LOWEST, HIGHEST], dtype=torch.float64)).tolist()
    return torch.linspace(low, high, BANDS + 2, dtype=torch.float64)


def mel(hertz: Tensor) -> Tensor:
    """HTK's mel scale, ``1127 log(1 + f / 700)``."""
    return 1127 * torch.log1p(hertz / 700)
