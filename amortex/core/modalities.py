"""Kinds of signals, as plain values: what differs between images, sound and volumes but for pictures and files."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Modality:
    """A kind of signals.

    Arguments:
        name: of the option ``--modality``.
        dims: number of spatial axes of its tensors ``(B, C, *size)``.
        noun: what messages call one signal; its plural adds an s.
        unit: what its positions are called.
        value_range: what signals are clipped to.
        classifier: the name of the one that is explained by default.
        wavelet, levels: of the transform that masks are over by default.
        obfuscation: what replaces masked coefficients by default.
    """

    name: str
    dims: int
    noun: str
    unit: str
    value_range: tuple[float, float]
    classifier: str
    wavelet: str
    levels: int
    obfuscation: str


MODALITIES = {
    "image": Modality("image", 2, "image", "pixels", (0.0, 1.0), "tf_efficientnet_lite0", "db3", 5, "gaussian"),
    "audio": Modality("audio", 1, "sound", "samples", (-1.0, 1.0), "yamnet", "db6", 8, "fading"),
    "volume": Modality("volume", 3, "volume", "voxels", (0.0, 1.0), "digits3d", "haar", 2, "gaussian"),
}


def modality_of(dims: int) -> Modality:
    """The kind of signals with so many spatial axes."""
    return next(modality for modality in MODALITIES.values() if modality.dims == dims)
