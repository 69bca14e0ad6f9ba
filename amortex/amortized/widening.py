"""Weights of a predictor without feature maps, for one that has them: what is new to it is ignored at first."""

import torch
from torch import Tensor
from torch.nn import functional as F

from amortex.amortized.decoder import Decoder

FEATURES = ".features."  # in the names of the weights that read feature maps


def sees_features(weights: dict[str, Tensor]) -> bool:
    """Whether a decoder with such weights reads feature maps."""
    return any(FEATURES in key for key in weights)


def widened(weights: dict[str, Tensor], decoder: Decoder) -> dict[str, Tensor]:
    """The weights of a predictor without features, for a `decoder` that is built alike but sees some.

    Those of feature maps, class maps and the row of the class are zero. So logits stay as they are, unless the
    classifier has a linear head: then its class maps change the prior. Weights that do not fit stay as they are.
    """
    wider = dict(weights)
    for key, value in decoder.state_dict().items():
        new = value.shape[1] - weights[key].shape[1] if key in weights and value.ndim > 1 else 0
        if FEATURES in key:
            normalises = f"{FEATURES}0." in key
            wider[key] = value if normalises else torch.zeros_like(value)
        elif key == "embed.0.weight" and new > 0:  # statistics of the class, and now its row
            wider[key] = F.pad(weights[key], (0, new))
        elif key.startswith("stages.") and key.endswith(".stem.weight") and new > 0:
            bands = 2 if key.startswith("stages.0.") else 1  # the coarsest level comes with the low-pass behind it
            wider[key] = _with_class_maps(weights[key], new // bands, bands, decoder.orientations)
    return wider


def _with_class_maps(weight: Tensor, new: int, bands: int, orientations: int) -> Tensor:
    """A stem's weights ``(width, given, ...)`` for so many `new` channels, which are the last ones of each band."""
    per_entry = (weight.shape[1] - bands) // (orientations + bands - 1)
    parts = weight.split([orientations * per_entry + 1, per_entry + 1][:bands], dim=1)
    zeros = weight.new_zeros(len(weight), new, *weight.shape[2:])
    return torch.cat([piece for part in parts for piece in (part, zeros)], 1)
