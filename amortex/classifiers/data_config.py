"""What a network expects of its inputs: size, channels, normalisation."""

import logging
from typing import Any

from timm.data import resolve_data_config
from torch import Tensor, nn

from amortex.core.errors import InputError

logger = logging.getLogger(__name__)


def data_config_of(model: nn.Module, channels: int | None, overrides: dict[str, Any]) -> dict[str, Any]:
    """The data config of a network: timm's for images; for other signals their size and no normalisation.

    Arguments:
        channels: that the network was built for, if they were given.
        overrides: settings that come before those of the network.

    Raises:
        InputError: a mean or std that does not fit the channels.
    """
    known = getattr(model, "pretrained_cfg", None) or {}
    default_channels, *default_size = known.get("input_size") or (3, 224, 224)
    input_size = overrides.pop("input_size", None)
    if isinstance(input_size, int) or (input_size is not None and len(input_size) == 1):  # the side
        side = input_size if isinstance(input_size, int) else input_size[0]
        input_size = [side] * len(default_size)
    elif input_size is not None:
        channels, *input_size = input_size
    size = (default_channels if channels is None else channels, *(input_size or default_size))
    if len(size) != 3:
        return {"input_size": size, "mean": (0.0,), "std": (1.0,), **overrides}
    if not known and (missing := " and ".join(key for key in ("mean", "std") if key not in overrides)):
        logger.warning(
            "%s does not say how its input is normalised: by ImageNet's %s; give its own, or mean 0 and std 1 where it "
            "normalises its input itself", type(model).__name__, missing,
        )  # fmt: skip
    try:
        config: dict[str, Any] = resolve_data_config({**overrides, "input_size": size}, model=model)
        return config
    except AssertionError as error:  # timm's check of the lengths of mean and std
        raise InputError(f"mean and std need 1 or {size[0]} values, one per channel") from error


def check_normalisation(mean: Tensor, std: Tensor, channels: int) -> None:
    """Raises InputError where a mean and a std do not fit the channels, or cannot be divided by."""
    if {len(mean), len(std)} - {1, channels}:
        raise InputError(f"mean and std need 1 or {channels} values, one per input channel")
    if not bool((std > 0).all() & std.isfinite().all() & mean.isfinite().all()):
        raise InputError("mean and std must be finite, and every std above 0")
