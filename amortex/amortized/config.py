"""Settings of the mask predictor, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class PredictorConfig:
    """How a `MaskPredictor` is built.

    Arguments:
        features: whether to read the classifier's feature maps; a black box has none.
        encoder: timm name of a network to learn feature maps with instead, from the input: for classifiers that are
            black boxes. It must be one without batch normalisation, such as ``convnext_atto``.
        gradient: whether to probe the gradient of the class's score once, which costs one forward and backward pass.
        width: of the decoder (channels at level 2).
        condition: size of the vector that tells the decoder of the class.
    """

    features: bool = True
    encoder: str | None = None
    gradient: bool = True
    width: int = 32
    condition: int = 64

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "PredictorConfig":
        """The settings in a table; what it lacks is by default."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in settings.items() if key in known})
