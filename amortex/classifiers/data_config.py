"""What a network expects of its inputs: size, channels, normalisation."""

import logging
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from timm.data import resolve_data_config
from torch import Tensor, nn

from amortex.classifiers.outputs import compute_dtype
from amortex.core.errors import InputError, reason
from amortex.core.modalities import modality_of

MOST_CHANNELS = 4  # that are read off the inputs of a linear layer: more are rather another size
OF_SIGNALS = ("mean", "std", "sample_rate", "lengths")  # keys of the configs of networks on sound and volumes
CONVOLUTION_DIMS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}

logger = logging.getLogger(__name__)


def requested_channels(overrides: Mapping[str, Any]) -> int | None:
    """The channels in settings of a data config: those of ``(C, *size)``."""
    size = overrides.get("input_size")
    return None if size is None or isinstance(size, int) or len(size) == 1 else int(size[0])


def requested_size(overrides: Mapping[str, Any], dims: int = 2) -> tuple[int, ...] | None:
    """The size in settings of a data config, without the channels; of a square its side is enough."""
    size = overrides.get("input_size")
    if size is None:
        return None
    if isinstance(size, int) or len(size) == 1:
        return (size if isinstance(size, int) else size[0],) * dims
    return tuple(size[1:])


def data_config_of(model: nn.Module, name: str, channels: int | None, overrides: dict[str, Any]) -> dict[str, Any]:
    """The data config of a network: timm's for images; for other signals what the network says of itself.

    Sound and volumes are not normalised unless the network's ``pretrained_cfg`` says so.

    Arguments:
        model: a network in evaluation mode.
        name: of the network.
        channels: that the network was built for, if they were given.
        overrides: settings that come before those of the network.

    Raises:
        InputError: a mean or std that does not fit the channels, or a network on other signals of an unknown size.
    """
    known = getattr(model, "pretrained_cfg", None) or {}
    default_channels, *default_size = known.get("input_size") or _unsaid_size(model, name, overrides)
    size = requested_size(overrides, len(default_size)) or built_size(model) or tuple(default_size)
    channels = channels or requested_channels(overrides) or _channels(model, name, default_channels, size, overrides)
    overrides = {**overrides, "input_size": (channels, *size)}
    if len(size) != 2:
        return {"mean": (0.0,), "std": (1.0,), **{key: known[key] for key in OF_SIGNALS if key in known}, **overrides}
    if not known and (missing := " and ".join(key for key in ("mean", "std") if overrides.get(key) is None)):
        logger.warning(
            "%s does not say how its input is normalised: by ImageNet's %s; give its own, or mean 0 and std 1 where it "
            "normalises its input itself", name, missing,
        )  # fmt: skip
    try:
        config: dict[str, Any] = resolve_data_config(overrides, model=model)
    except AssertionError as error:  # timm's check of the lengths of mean and std
        raise InputError(f"mean and std need 1 or {channels} values, one per channel") from error
    for key in ("mean", "std"):
        if overrides.get(key) is None and len(config[key]) not in (1, channels):
            config[key] = (round(sum(config[key]) / len(config[key]), 3),)  # of colours that are not there
    return config


def built_size(model: nn.Module) -> tuple[int, ...] | None:
    """The size that one of timm's networks of a fixed size was built for; None of other networks."""
    embedding = _patch_embedding(model)
    if embedding is not None:
        return tuple(embedding.img_size)
    config = getattr(model, "pretrained_cfg", None) or {}
    bound = hasattr(model, "set_input_size") and config.get("fixed_input_size")
    return tuple(config["input_size"][1:]) if bound else None


def set_size(model: nn.Module, size: tuple[int, ...], name: str) -> None:
    """Have one of timm's networks of a fixed size take another, in place.

    Raises:
        InputError: it cannot, or its patches do not divide that size.
    """
    built, embedding = built_size(model), _patch_embedding(model)
    if built in (None, size):
        return
    if embedding is not None:
        _check_patches(embedding, size, name)
        if not embedding.strict_img_size:
            return
    resize: Any = getattr(model, "set_input_size", None)
    asked, only = ("x".join(map(str, lengths)) for lengths in (size, built or ()))
    if resize is None:
        raise InputError(f"{name} takes inputs of {only} alone: build it with img_size={size[0]}, or give that size")
    try:
        resize(img_size=size)
    except Exception as error:  # windows and grids have many ways not to fit
        raise InputError(f"{name} takes inputs of {only}, and cannot take {asked}: {reason(error)}") from error


def check_normalisation(mean: Tensor, std: Tensor, channels: int) -> None:
    """Raises InputError where a mean and a std do not fit the channels, or cannot be divided by."""
    if {len(mean), len(std)} - {1, channels}:
        raise InputError(f"mean and std need 1 or {channels} values, one per input channel")
    if not bool((std > 0).all() & std.isfinite().all() & mean.isfinite().all()):
        raise InputError("mean and std must be finite, and every std above 0")


def checked_range(value_range: Sequence[float], mean: Tensor, std: Tensor) -> tuple[float, float]:
    """The interval that signals are in, as two floats.

    Raises:
        InputError: it is none, or a mean lies above it, or a std is longer than it.
    """
    if len(value_range) != 2 or not value_range[0] < value_range[1]:
        raise InputError(f"value_range must be an interval, not {value_range}")
    low, high = map(float, value_range)
    for name, value, most in (("mean", float(mean.max()), high), ("std", float(std.max()), high - low)):
        if value > torch.tensor(most):  # in float32, as the value is
            raise InputError(
                f"a {name} of {value:g} does not fit values in [{low:g}, {high:g}]: where mean and std are those of "
                "bytes, divide them by 255; where signals have other values, give value_range"
            )
    return low, high


def _patch_embedding(model: nn.Module) -> Any:
    """The layer by which timm's transformers cut inputs into patches; None without one of a known size."""
    known = (module for module in model.modules() if hasattr(module, "strict_img_size"))
    return next((module for module in known if isinstance(getattr(module, "img_size", None), tuple | list)), None)


def _check_patches(embedding: Any, size: tuple[int, ...], name: str) -> None:
    """Raises InputError where patches would leave a border of the input out."""
    for length, patch in zip(size, embedding.patch_size, strict=False):
        lower = length // patch * patch
        if lower != length and not getattr(embedding, "dynamic_img_pad", False):
            nearest = f"{lower} or {lower + patch}" if lower else str(patch)
            raise InputError(f"{name} has patches of {patch}, which do not divide {length}: give {nearest}")


def _unsaid_size(model: nn.Module, name: str, overrides: Mapping[str, Any]) -> tuple[int, ...]:
    """Channels and size by default of a network that says nothing of itself: images, unless its layers tell otherwise.

    A network of sound or volumes is one whose first convolution is, and that takes no images.
    """
    image = (3, *(requested_size(overrides) or (224, 224)))
    first = next((module for module in model.modules() if isinstance(module, tuple(CONVOLUTION_DIMS.values()))), None)
    dims = next((dims for dims, kind in CONVOLUTION_DIMS.items() if isinstance(first, kind)), 2)
    if first is None or dims == 2 or len(image) != 3 or _takes(model, image, batch=2):
        return 3, 224, 224
    if overrides.get("input_size") is None:
        noun, unit = modality_of(dims).noun, modality_of(dims).unit
        raise InputError(f"{name} takes {noun}s, but does not say of how many {unit}: give input_size")
    channels: Any = first.in_channels
    return int(channels), *[1] * dims


def _channels(model: nn.Module, name: str, default: int, size: tuple[int, ...], overrides: Mapping[str, Any]) -> int:
    """Channels of a network's inputs: by default, or else as many as a mean or std has values.

    If that is not given either, they are those of the first layer, and a line says so.
    """
    lengths = [len(overrides[key]) for key in ("mean", "std") if overrides.get(key) is not None]
    told, first = max(lengths, default=1), _first_layer_channels(model, size)
    if told > 1 and first not in (None, told) and not _takes(model, (told, *size)) and _takes(model, (first, *size)):
        raise InputError(f"mean or std has {told} values, but {name} takes inputs of {first} channel{'s'[: first > 1]}")
    channels = told if told > 1 else first
    if channels is None or channels == default or _takes(model, (default, *size)):
        return default
    if told == 1:
        logger.warning(
            "%s: its first layer takes %d channel%s, so inputs are %s; input_size (channels and sides) changes that",
            name, channels, "s" if channels > 1 else "", "x".join(map(str, (channels, *size))),
        )  # fmt: skip
    return channels


def _first_layer_channels(model: nn.Module, size: tuple[int, ...]) -> int | None:
    """Channels of inputs of that size that the first convolution or linear layer takes; None if it does not say."""
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, CONVOLUTION_DIMS.get(len(size), nn.Conv2d)):
            return int(module.in_channels)
        if isinstance(module, nn.Linear):
            channels, rest = divmod(module.in_features, prod(size))
            return channels if not rest and 0 < channels <= MOST_CHANNELS else None
        if isinstance(module, torch.jit.ScriptModule) and isinstance(weight, Tensor) and weight.ndim == len(size) + 2:
            return weight.shape[1]
    return None


@torch.no_grad()
def _takes(model: nn.Module, size: tuple[int, ...], batch: int = 1) -> bool:
    """Whether a network computes something of inputs ``(C, *size)``."""
    try:
        model(torch.zeros(batch, *size, dtype=compute_dtype(model) or torch.float32))
    except Exception:  # a network given the wrong channels can raise anything
        return False
    return True
