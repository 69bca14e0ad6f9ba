"""Networks and their weights: from timm, a class path, or a file, which is read without executing code."""

import importlib
import os
import textwrap
from typing import Any

import timm
from torch import Tensor, nn

from amortex.classifiers.embedded import embedded_state_dict
from amortex.core.catalog import similar_names
from amortex.core.errors import InputError
from amortex.io.untrusted import refuse_bomb, unreadable

HUB_PREFIXES = ("hf-hub:", "hf_hub:", "local-dir:")
MAX_LISTED = 4  # names that an error offers


def build_network(name: str, weights: str, num_classes: int | None, arguments: dict[str, Any]) -> tuple[nn.Module, str]:
    """The network of a timm name or class path, and where its weights came from. Arguments as of `load_classifier`."""
    state = read_state_dict(weights) if weights not in ("auto", "random") else None
    if _is_timm(name):
        return _timm_network(name, weights, num_classes, arguments, state)
    network = _network_by_path(name, arguments, num_classes)
    if state is not None:
        _load_strictly(network, state, weights)
    return network, weights


def _is_timm(name: str) -> bool:
    return name.startswith(HUB_PREFIXES) or timm.is_model(name.split(".")[0]) or "." not in name or "/" in name


def _timm_network(
    name: str, weights: str, num_classes: int | None, arguments: dict[str, Any], state: dict[str, Tensor] | None
) -> tuple[nn.Module, str]:
    if not name.startswith(HUB_PREFIXES) and not timm.is_model(name.split(".")[0]):
        raise InputError(f"timm has no model {name!r}{_similar(name)}")
    source = weights
    if weights == "auto":
        state = embedded_state_dict(name)
        source = "timm" if state is None else "embedded"
    elif num_classes is None and state is not None:
        num_classes = _classes_of(name, state)
    if num_classes is not None:
        arguments = {**arguments, "num_classes": num_classes}
    try:
        network = timm.create_model(name, pretrained=source == "timm", **arguments)
    except Exception as error:  # timm and the hub raise anything from OSError to RuntimeError
        advice = "check its arguments"
        if source == "timm":
            advice = "give its weights as a file, or connect to the hub"
        raise InputError(f"cannot build {name}: {_reason(error)}; {advice}") from error
    trained = (getattr(network, "pretrained_cfg", None) or {}).get("num_classes")
    if weights == "auto" and trained is not None and trained != network.num_classes:
        raise InputError(
            f"{name} comes with {trained} classes; a head of {network.num_classes} would be untrained: "
            "give weights as a file, or leave the number of classes out"
        )
    if state is not None:
        _load_strictly(network, state, source)
    return network, source


def _classes_of(name: str, state: dict[str, Tensor]) -> int | None:
    """Number of classes in a weight file, from the head that timm's config names."""
    if name.startswith(HUB_PREFIXES):
        return None
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    head = getattr(config, "classifier", None) if config is not None else None
    for key in [head] if isinstance(head, str) else list(head or ()):
        for suffix in (".weight", ".bias"):
            if key + suffix in state:
                return len(state[key + suffix])
    return None


def _network_by_path(path: str, arguments: dict[str, Any], num_classes: int | None) -> nn.Module:
    module_name, _, class_name = path.rpartition(".")
    if num_classes is not None:
        arguments = {**arguments, "num_classes": num_classes}
    try:
        kind = getattr(importlib.import_module(module_name), class_name)
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise InputError(f"{path} is no class of torch.nn.Module")
        network = kind(**arguments)
    except InputError:
        raise
    except Exception as error:  # a module and its constructor can raise anything
        raise InputError(
            f"cannot build the classifier {path}: {_reason(error)}; "
            f"give a timm name or an importable package.module.Class{_similar(path)}"
        ) from error
    return network


def _similar(name: str) -> str:
    """A hint for a name that timm does not know: the prefix that it lacks, or names like it."""
    if "/" in name:
        return f": a model of the hub is hf-hub:{name}, one in a folder local-dir:{name}"
    names = timm.list_models(f"*{name}*")[:MAX_LISTED]
    hint = f"did you mean {', '.join(names)}?" if names else similar_names(name.split(".")[0], timm.list_models())
    return f"; {hint}" if hint else ""


def read_state_dict(path: str) -> dict[str, Tensor]:
    """Weights from a safetensors or checkpoint file.

    Raises:
        InputError: the file is missing, broken, holds no state dict, or would execute code.
    """
    if not os.path.isfile(path):
        raise InputError(f"no weight file at {path!r}: give auto, random or a safetensors or checkpoint file")
    refuse_bomb(path)
    try:
        state = timm.models.load_state_dict(path, weights_only=True)
    except Exception as error:  # unpickling refuses code with several exception types
        raise InputError(f"cannot read weights from {path}: {unreadable(path) or _reason(error)}") from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds no state dict: save model.state_dict() or a safetensors file")
    return state


def _load_strictly(network: nn.Module, state: dict[str, Tensor], source: str) -> None:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        mismatches = " ".join(line.strip() for line in str(error).splitlines()[1:3])
        reason = textwrap.shorten(mismatches, 300, placeholder=" ...")
        raise InputError(f"the weights of {source} do not fit {type(network).__name__}: {reason}") from error


def _reason(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [""])[0]
    return textwrap.shorten(f"{type(error).__name__}: {line}", 200, placeholder=" ...")
