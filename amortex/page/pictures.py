"""Tensors as what a browser shows: PNG files and sounds in data URLs, plain bytes in base64."""

import base64
import io
import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from amortex.explaining.results import ExplanationResult
from amortex.io.files import data_url
from amortex.io.sounds import sample_rate, wav_bytes

HEAT_QUANTILE = 0.995  # of a heat map, which is drawn brightest


def as_bytes(values: Tensor) -> Tensor:
    """Values in [0, 1] as bytes."""
    return (values.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)


def base64_of(values: Tensor) -> str:
    """Values in [0, 1], a byte each, in base64."""
    return base64.b64encode(as_bytes(values).numpy().tobytes()).decode()


def png_bytes(picture: Tensor) -> bytes:
    """A picture ``(1 or 3, H, W)`` in [0, 1] as a PNG file."""
    buffer, pixels = io.BytesIO(), as_bytes(picture).permute(1, 2, 0).numpy()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def webp_url(picture: Tensor) -> str:
    """A picture ``(3, H, W)`` in [0, 1], without loss: of noise that is faster made than a PNG file."""
    buffer, pixels = io.BytesIO(), as_bytes(picture).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, quality=0, method=0)
    return data_url(buffer.getvalue(), "image/webp")


def png_url(picture: Tensor) -> str:
    return data_url(png_bytes(picture), "image/png")


def wav_url(sound: Tensor, rate: int) -> str:
    return data_url(wav_bytes(sound, rate), "audio/wav")


def scaled(heat: Tensor) -> Tensor:
    """A non-negative map in [0, 1], so that single high values do not darken the rest."""
    flat = heat.flatten()
    brightest = flat.kthvalue(max(1, round(HEAT_QUANTILE * len(flat)))).values
    return (heat / brightest.clamp(min=1e-12)).clamp(0, 1)


def coloured(values: np.ndarray[Any, Any]) -> Tensor:
    """``(H, W)`` in [0, 1] -> ``(3, H, W)`` in matplotlib's magma."""
    from matplotlib import colormaps

    return torch.from_numpy(colormaps["magma"](values)[..., :3].copy()).permute(2, 0, 1).float()


def spectrogram(sound: Tensor, rate: int, loudest: float | None = None) -> tuple[Tensor, float]:
    """The spectrogram of a sound ``(C, T)`` as a picture ``(3, H, W)``, and its loudest value in dB."""
    from amortex.explaining.sound_plots import DYNAMICS, decibels

    levels = decibels(sound.detach().mean(0).cpu(), rate)[::-1]
    loudest = float(levels.max()) if loudest is None else loudest
    return coloured(np.clip((levels - loudest) / DYNAMICS + 1, 0, 1)), loudest


def mask_layout(result: ExplanationResult) -> dict[str, Any]:
    """The mask ``(1, k)`` with all that is needed to draw it: its bands, and how far their entries reach."""
    layout, transform = result.encoded.layout, result.rate_distortion.transform
    settings = transform.settings()
    taps = 0
    if "wavelet" in settings:
        import pywt

        taps = pywt.Wavelet(settings["wavelet"]).dec_len
    return {
        "transform": transform.name,
        "taps": taps,
        "bands": [{"name": band.name, "shape": list(band.shape)} for band in layout.bands],
        "values": base64_of(result.mask[0]),
    }


def image_view(result: ExplanationResult) -> dict[str, Any]:
    """Of an image: what is kept of it in grey, where that is, and the mask."""
    heat = result.rate_distortion.transform.spatial_map(result.importance.float(), result.encoded.coefficients)[0]
    return {"picture": png_url(result.picture[0]), "map": png_url(coloured(scaled(heat).detach().cpu().numpy()))}


def sound_view(result: ExplanationResult) -> dict[str, Any]:
    """Of a sound: the sound, what is kept and what is dropped, to be heard, and the spectrograms of these."""
    rate = sample_rate(result.rate_distortion.classifier.signal_config)
    sound, kept = result.encoded.image[0], result.kept[0]
    _, loudest = spectrogram(sound, rate)
    parts = {"original": sound, "kept": kept, "dropped": sound - kept}
    pictures = {name: spectrogram(part, rate, loudest)[0] for name, part in parts.items()}
    return {
        "rate": rate,
        "seconds": sound.shape[-1] / rate,
        "parts": {name: {"sound": wav_url(part, rate), "spectrogram": png_url(pictures[name])}
                  for name, part in parts.items()},
    }  # fmt: skip


def volume_view(result: ExplanationResult) -> dict[str, Any]:
    """Of a volume: the volume, what is kept, and where that is, as bytes."""
    volume, kept = result.encoded.image[0].mean(0), result.kept[0].mean(0)
    heat = result.rate_distortion.transform.spatial_map(result.importance.float(), result.encoded.coefficients)[0]
    parts = {"volume": volume, "kept": kept, "map": scaled(heat)}
    return {"shape": list(volume.shape), "parts": {name: base64_of(values) for name, values in parts.items()}}


VIEWS = {"image": image_view, "audio": sound_view, "volume": volume_view}


def plain(value: Any) -> Any:
    """Plain values without what JSON has no words for: NaN and infinity become null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
