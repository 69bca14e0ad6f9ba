"""What checkpoints and releases of version 0.1 are called today: keys of weights."""

from typing import Any

DECODER = {"describe": "embed", "expect": "curve_stem", "refine": "curve_head"}
LAYERS = {
    "spread": "depthwise",
    "grow": "expand",
    "shrink": "project",
    "enter": "stem",
    "leave": "head",
    "calm": "norm",
}


def upgrade_weights(weights: dict[str, Any]) -> dict[str, Any]:
    """Weights of a decoder under today's names; today's own stay as they are."""
    return {".".join(_segments(key)): value for key, value in weights.items()}


def _segments(key: str) -> list[str]:
    first, *rest = key.split(".")
    if first == "refiner":
        return [first, *_segments(".".join(rest))]
    if first == "stages":  # a level: stages.2.blocks.0.spread.weight
        return [first, *(LAYERS.get(segment, segment) for segment in rest)]
    return [DECODER.get(first, first), *rest]
