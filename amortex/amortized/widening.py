"""Weights of a predictor without feature maps for one that has them: the network ignores what is new at first."""

import torch
from torch import Tensor
from torch.nn import functional as F

from amortex.amortized.decoder import Decoder

FEATURES = ".features."  # in the names of the weights that read feature maps
EMBED, STEMS = "embed.0.weight", ".stem.weight"  # what else reads more: the row of the class, and class maps


def sees_features(weights: dict[str, Tensor]) -> bool:
    """Whether a decoder with such weights reads feature maps."""
    return any(FEATURES in key for key in weights)


def widened(weights: dict[str, Tensor], decoder: Decoder) -> dict[str, Tensor]:
    """The weights of a predictor without features, for a `decoder` that is built alike but sees some.

    Those of feature maps, class maps and the row of the class are zero. So logits stay as they are, unless the
    classifier has a linear head: then its class maps change the prior. Weights of a decoder that is built otherwise are
    left alone.
    """
    wider, state = dict(weights), decoder.state_dict()
    same = {key for key in state if FEATURES not in key and not _reads_more(key)}
    if any(key in weights and weights[key].shape != state[key].shape for key in same):
        return wider
    for key, value in state.items():
        if FEATURES in key:
            normalises = f"{FEATURES}0." in key
            wider[key] = value if normalises else torch.zeros_like(value)
        elif key in weights and _reads_more(key) and weights[key].ndim == value.ndim:
            new = value.shape[1] - weights[key].shape[1]
            bands = 2 if key.startswith("stages.0.") else 1  # the coarsest level comes with the low-pass behind it
            if key == EMBED and new > 0:
                wider[key] = F.pad(weights[key], (0, new))
            elif key != EMBED and new > 0 and new % bands == 0:
                wider[key] = _with_class_maps(weights[key], new // bands, bands, decoder.orientations)
    return wider


def _reads_more(key: str) -> bool:
    return key == EMBED or (key.startswith("stages.") and key.endswith(STEMS))


def _with_class_maps(weight: Tensor, new: int, bands: int, orientations: int) -> Tensor:
    """A stem's weights ``(width, given, ...)`` for so many `new` channels, which are the last ones of each band."""
    per_entry, rest = divmod(weight.shape[1] - bands, orientations + bands - 1)
    if rest:
        return weight
    parts = weight.split([orientations * per_entry + 1, per_entry + 1][:bands], dim=1)
    zeros = weight.new_zeros(len(weight), new, *weight.shape[2:])
    return torch.cat([piece for part in parts for piece in (part, zeros)], 1)
