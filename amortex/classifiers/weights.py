"""Networks and their weights: bundled, from timm, a class path, or a file, which is read without executing code."""

import importlib
import inspect
import sys
from contextlib import suppress
from typing import Any

import timm
from torch import nn

from amortex.classifiers.bundled import BUNDLED
from amortex.classifiers.data_config import built_size, set_size
from amortex.classifiers.default import HF_AUDIO
from amortex.classifiers.embedded import embedded_state_dict
from amortex.classifiers.weight_files import WeightFile, load_strictly, read_weight_file
from amortex.core.catalog import load, similar_names
from amortex.core.errors import InputError, reason

HUB_PREFIXES = ("hf-hub:", "hf_hub:", "local-dir:")
CHANNEL_ARGUMENTS = ("in_chans", "in_channels", "input_channels", "num_channels", "channels")  # of constructors
CLASS_ARGUMENTS = ("class", "label", "categor", "out_", "output")  # in names of numbers of classes, of constructors
MAX_LISTED = 4  # names that an error offers
UNREACHED = ("LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectError")  # what the hub raises where it is not


def build_network(
    name: str,
    weights: str,
    num_classes: int | None,
    arguments: dict[str, Any],
    channels: int | None = None,
    size: tuple[int, ...] | None = None,
) -> tuple[nn.Module, str]:
    """The network of a bundled name, a timm name or a class path, and where its weights came from.

    Arguments:
        name, weights, num_classes: as of `load_classifier`.
        arguments: of the network's constructor.
        channels, size: of its inputs, if they are given.
    """
    if name.startswith(HF_AUDIO):
        if weights != "auto" or num_classes is not None or arguments:
            raise InputError(f"{HF_AUDIO} models come with their own: leave out weights, num_classes and model_args")
        return load("amortex.classifiers.hf_audio:hf_audio")(name.removeprefix(HF_AUDIO)), name
    file = read_weight_file(weights) if weights not in ("auto", "random") else None
    if name not in BUNDLED and _is_timm(name):
        return _timm_network(name, weights, num_classes, arguments, file, channels, size)
    if name in BUNDLED:
        maker = load(BUNDLED[name])
        arguments = {"pretrained": weights == "auto", **arguments}
        weights = "embedded" if weights == "auto" else weights
    else:
        maker = _maker_at(name)
    network = _made_by(maker, name, arguments, num_classes, channels)
    if file is not None:
        file.load_into(network, _class_advice(maker))
    return network, weights


def _is_timm(name: str) -> bool:
    return name.startswith(HUB_PREFIXES) or timm.is_model(name.split(".")[0]) or "." not in name or "/" in name


def _timm_network(
    name: str,
    weights: str,
    num_classes: int | None,
    arguments: dict[str, Any],
    file: WeightFile | None,
    channels: int | None,
    size: tuple[int, ...] | None,
) -> tuple[nn.Module, str]:
    if not name.startswith(HUB_PREFIXES) and not timm.is_model(name.split(".")[0]):
        raise InputError(f"timm has no model {name!r}{_similar(name)}")
    source, embedded = weights, embedded_state_dict(name) if weights == "auto" else None
    if weights == "auto":
        source = "timm" if embedded is None else "embedded"
    if file is not None and num_classes is None:
        num_classes = _length_in(file, name, "classifier", 0)
    if file is not None and channels is None:
        channels = _length_in(file, name, "first_conv", 1)
    if num_classes is not None:
        arguments = {**arguments, "num_classes": num_classes}
    if channels not in (None, 3):
        arguments = {"in_chans": channels, **arguments}
    network = _create(name, source == "timm", arguments)
    if size is not None and "img_size" not in arguments and _is_bound(network, size):
        with suppress(
            InputError
        ):  # not all have that argument: the network as it is may take that size, or says why not
            network = _create(name, source == "timm", {**arguments, "img_size": size})
    trained = (getattr(network, "pretrained_cfg", None) or {}).get("num_classes")
    if weights == "auto" and trained is not None and trained != network.num_classes:
        raise InputError(
            f"{name} comes with {trained} classes; a head of {network.num_classes} would be untrained: "
            "give weights as a file, or leave the number of classes out"
        )
    if embedded is not None:
        load_strictly(network, embedded, source)
    if file is not None:
        if size is not None and not file.fits(network):  # weights of that size already
            set_size(network, size, name)
        file.load_into(network)
    return network, source


def _create(name: str, pretrained: bool, arguments: dict[str, Any]) -> nn.Module:
    try:
        network: nn.Module = timm.create_model(name, pretrained=pretrained, **arguments)
    except Exception as error:  # timm and the hub raise anything from OSError to RuntimeError
        if pretrained and type(error).__name__ in UNREACHED:
            raise InputError(
                f"the weights of {name} are not on this machine, and the hub cannot be reached: give them as a file, "
                "or connect to the hub (untrained ones, 'random', try the program out: what they explain means nothing)"
            ) from error
        advice = "give its weights as a file, or connect to the hub" if pretrained else "check its arguments"
        raise InputError(f"cannot build {name}: {reason(error)}; {advice}") from error
    return network


def _is_bound(network: nn.Module, size: tuple[int, ...]) -> bool:
    """Whether a network is bound to another size than that by its construction."""
    config = getattr(network, "pretrained_cfg", None) or {}
    sizes = (tuple(config.get("input_size") or ())[1:], built_size(network))
    return bool(config.get("fixed_input_size")) and not hasattr(network, "set_input_size") and tuple(size) not in sizes


def _length_in(file: WeightFile, name: str, layer: str, axis: int) -> int | None:
    """Length of an axis of the weights in a file of a layer that timm's config names: the classes, or the channels."""
    if name.startswith(HUB_PREFIXES):
        return None
    names = getattr(timm.get_pretrained_cfg(name, allow_unregistered=True), layer, None)
    for key in [names] if isinstance(names, str) else list(names or ()):
        weight = file.find(f"{key}.weight")
        if weight is not None and weight.ndim > axis:
            return weight.shape[axis]
    return None


def _maker_at(path: str) -> Any:
    """The class or function at a path."""
    module_name, _, name = path.rpartition(".")
    advice = "give a timm name or an importable package.module.Class"
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a module can raise anything
        absent = (
            isinstance(error, ModuleNotFoundError) and error.name == module_name.split(".")[0]
        )  # a timm name, then?
        hint = f"; {advice}{_similar(path)}" if absent else ""
        raise InputError(f"cannot import the classifier {path}: {reason(error)}{hint}") from error
    if not hasattr(module, name):
        raise InputError(f"{module_name} has no {name}: {similar_names(name, vars(module)) or advice}")
    maker = getattr(module, name)
    if not _makes_networks(maker):
        raise InputError(f"{path} is no class of torch.nn.Module, nor a function that builds one")
    return maker


def _made_by(
    maker: Any, path: str, arguments: dict[str, Any], num_classes: int | None, channels: int | None
) -> nn.Module:
    """The network that a class or function makes of arguments."""
    accepted = inspect.signature(maker).parameters
    if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in accepted.values()):
        if num_classes is not None and "num_classes" not in accepted:
            raise InputError(f"{path} has no argument num_classes: {_class_advice(maker)}")
        for name in arguments.keys() - accepted.keys():
            hint = similar_names(name, accepted) or f"it has {', '.join(accepted) or 'none'}"
            raise InputError(f"{path} has no argument {name!r}, which model_args give: {hint}")
    if num_classes is not None:
        arguments = {**arguments, "num_classes": num_classes}
    if channels is not None:
        own = [name for name in CHANNEL_ARGUMENTS if name in accepted]
        arguments = {**dict.fromkeys(own[:1], channels), **arguments}
    try:
        network = maker(**arguments)
    except Exception as error:  # a constructor can raise anything
        raise InputError(
            f"cannot build the classifier {path}: {reason(error)}; model_args are its arguments"
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{path} builds no torch.nn.Module: it returns {type(network).__name__}")
    return network


def _class_advice(maker: Any) -> str:
    """How to have a class or function build its network for another number of classes."""
    accepted = inspect.signature(maker).parameters
    if "num_classes" in accepted:
        return "give num_classes"
    names = [name for name in accepted if any(part in name.lower() for part in CLASS_ARGUMENTS)]
    tables = " or ".join(f'{{"{name}": N}}' for name in names[:MAX_LISTED])
    return (
        f"give model_args {tables} (--model-args)" if names else "it has no argument of that sort, so change its code"
    )


def _makes_networks(maker: Any) -> bool:
    """Whether this is a class of modules, or a function that may build one; Python's own functions build none."""
    if isinstance(maker, type):
        return issubclass(maker, nn.Module)
    return inspect.isfunction(maker) and maker.__module__.split(".")[0] not in sys.stdlib_module_names


def _similar(name: str) -> str:
    """A hint for an unknown name: the prefix that it lacks, or names like it, of bundled networks or of timm."""
    if "/" in name:
        return f": a model of the hub is hf-hub:{name}, one in a folder local-dir:{name}"
    names = timm.list_models(f"*{name}*")[:MAX_LISTED]
    known = [*BUNDLED, *timm.list_models()]
    hint = f"did you mean {', '.join(names)}?" if names else similar_names(name.split(".")[0], known)
    return f"; {hint}" if hint else ""
