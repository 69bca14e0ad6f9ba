"""Older files in today's words: settings, identities, and keys and shapes of weights."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from amortex.amortized.widening import sees_features

DECODERS = ("predictor.decoder.", "average.module.")  # in a checkpoint: the weights and their running mean
DECODER = {"describe": "embed", "expect": "curve_stem", "refine": "curve_head"}
CONDITION = "refiner.embed.0.weight"  # (condition, condition + numbers of where refinement is)
NUMBERS_BEFORE = 8  # of these; now the last one tells how many steps are left
LAYERS = {
    "spread": "depthwise", "grow": "expand", "shrink": "project", "enter": "stem", "leave": "head", "calm": "norm",
}  # fmt: skip
# group of settings -> its settings, and what they were called
GROUPS: dict[str, dict[str, str]] = {
    "problem": {
        name: name
        for name in (
            "classifier", "weights", "num_classes", "class_names", "model_args", "mean", "std", "wavelet", "levels",
            "padding", "obfuscation", "distortion", "internal_batch_size",
        )
    } | {"input_size": "img_size"},
    "predictor": {name: name for name in ("features", "encoder", "gradient", "width", "condition")},
    "objective": {
        name: name
        for name in ("masks", "samples", "monotone", "first_rates", "rates", "curriculum", "warm_up", "teacher_steps")
    },
    "refinement": {"steps": "refine_steps", "only": "refine_only"},
    "optimizer": {name: name for name in ("lr", "weight_decay", "ema", "clip")},
}  # fmt: skip


def upgrade_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings in groups; those that are grouped already stay as they are."""
    if "problem" in settings:
        return settings
    old_names = {old for names in GROUPS.values() for old in names.values()}
    grouped: dict[str, Any] = {key: value for key, value in settings.items() if key not in old_names}
    for group, names in GROUPS.items():
        grouped[group] = {new: settings[old] for new, old in names.items() if old in settings}
    return grouped


def upgrade_identity(identity: dict[str, Any]) -> dict[str, Any]:
    """What weights belong to, under today's names."""
    renamed = {{"transform_mode": "transform_padding"}.get(key, key): value for key, value in identity.items()}
    return {"transform_dims": 2, "activation": "softmax", "value_range": [0.0, 1.0], **renamed}


def upgrade_weights(weights: dict[str, Any]) -> dict[str, Any]:
    """Weights of a decoder under today's names and shapes."""
    renamed = {".".join(_segments(key)): value for key, value in weights.items()}
    if CONDITION in renamed:
        renamed[CONDITION] = _sees_steps_left(renamed[CONDITION])
    return renamed


def hide_unseen_features(settings: dict[str, Any], weights: dict[str, Any]) -> None:
    """Settings, in place, of weights that see no feature maps: YAMNet showed none at first."""
    if not sees_features(weights):
        settings["predictor"]["features"] = False


def upgrade_checkpoint(checkpoint: dict[str, Any]) -> None:
    """Bring a checkpoint of training up to date, in place: training can go on from it."""
    if "problem" not in checkpoint["hyper_parameters"]:
        checkpoint["hyper_parameters"] = upgrade_settings(checkpoint["hyper_parameters"])
        checkpoint["amortex"] = upgrade_identity(checkpoint["amortex"])
    state = checkpoint["state_dict"]
    trained = {".".join(_segments(key.removeprefix(DECODERS[0]))): value for key, value in state.items()}
    for prefix in DECODERS:
        old = {key.removeprefix(prefix): state.pop(key) for key in list(state) if key.startswith(prefix)}
        state |= {prefix + key: value for key, value in upgrade_weights(old).items()}
    condition = trained.get(CONDITION)
    if condition is None or not _is_shorter(condition):
        return
    for optimizer in checkpoint.get("optimizer_states", ()):  # which keeps its means in the shape of the weights
        for means in optimizer["state"].values():
            means |= {key: _sees_steps_left(mean) for key, mean in means.items() if mean.shape == condition.shape}


def _sees_steps_left(weight: Tensor) -> Tensor:
    """Weights of the refiner's condition, which ignore how many steps are left: it was trained without that number."""
    return F.pad(weight, (0, 1)) if _is_shorter(weight) else weight


def _is_shorter(weight: Tensor) -> bool:
    return weight.ndim == 2 and weight.shape[1] == weight.shape[0] + NUMBERS_BEFORE


def _segments(key: str) -> list[str]:
    first, *rest = key.split(".")
    if first == "refiner":
        return [first, *_segments(".".join(rest))]
    if first == "stages":  # a level: stages.2.blocks.0.spread.weight
        return [first, *(LAYERS.get(segment, segment) for segment in rest)]
    return [DECODER.get(first, first), *rest]
