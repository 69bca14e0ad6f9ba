"""Building a frozen classifier from a name, a class path or a module."""

from typing import Any

import torch
from torch import nn

from amortex.classifiers.behaviour import refuse_incomplete
from amortex.classifiers.class_names import ClassNames, known_class_names, read_class_names
from amortex.classifiers.classifier import Classifier
from amortex.classifiers.copying import copy_network, freeze, unwrap
from amortex.classifiers.data_config import data_config_of, requested_channels, requested_size, set_size
from amortex.classifiers.default import DEFAULT_CLASSIFIER, Activation
from amortex.classifiers.weights import build_network
from amortex.core.errors import InputError
from amortex.core.process import float32_by_default


def load_classifier(
    name: str | nn.Module = DEFAULT_CLASSIFIER,
    weights: str = "auto",
    num_classes: int | None = None,
    class_names: ClassNames | None = None,
    model_args: dict[str, Any] | None = None,
    activation: Activation = "auto",
    **data_config: Any,
) -> Classifier:
    """Build a frozen classifier.

    Arguments:
        name: of a bundled network (``yamnet``, see `amortex.classifiers.bundled`), a timm name (also ``hf-hub:...`` and
            ``local-dir:...``), ``hf-audio:`` and the name or folder of a classifier of sounds of transformers, or the
            class path of an `nn.Module` (``package.module.Class``); or a module with its weights, of which a copy is
            taken.
        weights: ``auto`` (embedded where there are any, else what timm downloads; for a class path whatever its
            constructor loads), ``random``, or a safetensors or checkpoint file (read without executing code).
        num_classes: number of classes; by default read off the weight file, or the model's own.
        class_names: one per class, as a list, a table from indices to names, or a file of them: see `read_class_names`.
        model_args: further arguments of the model's constructor.
        activation: what makes probabilities of the outputs, see `Classifier`.
        **data_config: overrides of the network's data config: input_size (the side of a square, or ``(C, *size)``),
            mean, std, and for images interpolation, crop_pct, crop_mode.

    Raises:
        InputError: an unknown name, weights that do not fit or cannot be had, a wrong class name file.
    """
    arguments = dict(model_args or {})
    names = None if class_names is None else read_class_names(class_names)
    if isinstance(name, nn.Module):
        if weights != "auto" or num_classes is not None or arguments:
            raise InputError("a module is explained as it is: leave out weights, num_classes and model_args")
        network, name = name, _name_of(unwrap(name))
        refuse_incomplete(network, name)
        model, source = copy_network(network, name).cpu(), "its own"
    else:
        with torch.random.fork_rng(), float32_by_default():
            torch.manual_seed(0)  # untrained weights are the same each time
            channels, size = requested_channels(data_config), requested_size(data_config)
            model, source = build_network(name, weights, num_classes, arguments, channels, size)
    model = freeze(model)
    overrides = {key: value for key, value in data_config.items() if value is not None}
    if overrides.get("input_size") is not None:
        set_size(model, requested_size(overrides) or (), name)
    config = data_config_of(model, name, arguments.get("in_chans"), overrides)
    names = known_class_names(model) if names is None else names
    if activation == "auto":
        activation = (getattr(model, "pretrained_cfg", None) or {}).get("activation", "auto")
    return Classifier(model, config, name, source, names, model_args, activation)


def _name_of(model: nn.Module) -> str:
    """A name from which `build_network` makes such a network: timm's name, or its class path."""
    config = getattr(model, "pretrained_cfg", None) or {}
    return str(config.get("architecture") or f"{type(model).__module__}.{type(model).__qualname__}")
