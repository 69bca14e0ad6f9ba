"""A frozen classifier on pixels in [0, 1], with its own normalisation inside."""

import importlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import ImageNetInfo, infer_imagenet_subset, resolve_data_config
from torch import Tensor, nn

from amortex.embedded import embedded_state_dict
from amortex.types import InputError

DEFAULT_CLASSIFIER = "tf_efficientnet_lite0"
HUB_PREFIXES = ("hf-hub:", "hf_hub:", "local-dir:")


class Classifier(nn.Module):
    """Images ``(B, C, H, W)`` in [0, 1] -> logits ``(B, M)``; frozen, always in evaluation mode.

    Arguments:
        model: any module from normalised images to logits.
        data_config: timm's data config: input_size, mean, std, interpolation, crop_pct, crop_mode.
        name: how to name the classifier in outputs.
        weights: where the weights came from.
        class_names: one name per class, or None for "class 0", "class 1", ...

    Raises:
        InputError: the model does not map images of that size to logits, or the names are not one per class.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        data_config: dict[str, Any],
        name: str,
        weights: str = "unknown",
        class_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.data_config, self.name, self.weights = dict(data_config), name, weights
        for key in ("mean", "std"):
            self.register_buffer(key, torch.tensor(data_config[key], dtype=torch.float32)[:, None, None], persistent=False)
        self.num_classes = self._probe()
        self.class_names = None if class_names is None else list(class_names)
        if self.class_names is not None and len(self.class_names) != self.num_classes:
            raise InputError(f"{name} has {self.num_classes} classes, but {len(self.class_names)} class names were given")

    def forward(self, x: Tensor) -> Tensor:
        # one fused pass: (x - mean) / std
        x = torch.addcmul(-self.mean / self.std, x, 1 / self.std)
        return self.model(x.contiguous(memory_format=torch.channels_last))

    def _probe(self) -> int:
        """Number of classes, from the output on one grey image."""
        channels = self.input_size[0]
        if {len(self.mean), len(self.std)} - {1, channels}:
            raise InputError(f"mean and std need 1 or {channels} values, one per input channel")
        if not bool((self.std > 0).all()):
            raise InputError("every std must be above 0")
        try:
            with torch.no_grad():
                logits = self(torch.full((1, *self.input_size), 0.5))
        except (RuntimeError, AssertionError, ValueError, TypeError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            size = "x".join(map(str, self.input_size))
            raise InputError(f"{self.name} cannot classify an image of size {size}: {first[:150]}") from error
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 1:
            raise InputError(f"{self.name} is no classifier: it must map (B, C, H, W) to logits (B, classes)")
        return logits.shape[1]

    def train(self, mode: bool = True) -> "Classifier":
        """A frozen classifier stays in evaluation mode."""
        return super().train(False)

    @property
    def input_size(self) -> tuple[int, int, int]:
        """``(C, H, W)``."""
        return self.data_config["input_size"]

    def class_name(self, index: int) -> str:
        """Short name of a class: the first of its synonyms."""
        return f"class {index}" if self.class_names is None else self.class_names[index].split(",")[0].strip()

    def class_index(self, target: str | int) -> int:
        """The class meant by an index or a name (a synonym, or any unique part of one).

        Raises:
            InputError: no such class, or several.
        """
        text = str(target).strip()
        if text.lstrip("-").isdigit():
            index = int(text)
            if not 0 <= index < self.num_classes:
                raise InputError(f"class {index} does not exist: {self.name} has classes 0 to {self.num_classes - 1}")
            return index
        if self.class_names is None:
            raise InputError(f"{self.name} has no class names: give --target as an index, or --class-names")
        wanted = text.lower()
        synonyms = [[s.strip().lower() for s in name.split(",")] for name in self.class_names]
        exact = [i for i, names in enumerate(synonyms) if wanted in names]
        found = exact or [i for i, names in enumerate(synonyms) if any(wanted in name for name in names)]
        if not found:
            raise InputError(f"no class of {self.name} is named {text!r}: give another name, or an index")
        if len(found) > 1:
            some = ", ".join(f"{i} ({self.class_name(i)})" for i in found[:5])
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            raise InputError(f"{text!r} names several classes: {some}{more}; give one of the indices")
        return found[0]


def load_classifier(
    name: str = DEFAULT_CLASSIFIER,
    weights: str = "auto",
    num_classes: int | None = None,
    class_names: str | Path | None = None,
    model_args: dict[str, Any] | None = None,
    **data_config: Any,
) -> Classifier:
    """Build a frozen classifier.

    Arguments:
        name: a timm name (also ``hf-hub:...`` and ``local-dir:...``), or the class path of an `nn.Module`
            (``package.module.Class``).
        weights: ``auto`` (embedded where there are any, else what timm downloads; for a class path whatever its
            constructor loads), ``random``, or a safetensors or checkpoint file (read without executing code).
        num_classes: number of classes; by default read off the weight file, or the model's own.
        class_names: text file with one class name per line.
        model_args: further arguments of the model's constructor.
        **data_config: overrides of timm's data config (input_size, mean, std, interpolation, crop_pct, crop_mode).

    Raises:
        InputError: an unknown name, weights that do not fit or cannot be had, a wrong class name file.
    """
    overrides = {key: value for key, value in data_config.items() if value is not None}
    names = _read_class_names(class_names) if class_names is not None else None
    arguments = dict(model_args or {})
    state = _read_state_dict(weights) if weights not in ("auto", "random") else None
    if _is_timm(name):
        model, source = _timm_model(name, weights, num_classes or (len(names) if names else None), arguments, state)
    else:
        model, source = _module_by_path(name, arguments, num_classes), weights
        if state is not None:
            _load_strictly(model, state, weights)
    config = resolve_data_config(overrides, model=model)
    if names is None:
        names = _known_class_names(model)
    return Classifier(model, config, name, source, names)


def _is_timm(name: str) -> bool:
    return name.startswith(HUB_PREFIXES) or timm.is_model(name.split(".")[0]) or "." not in name


def _timm_model(
    name: str,
    weights: str,
    num_classes: int | None,
    arguments: dict[str, Any],
    state: dict[str, Tensor] | None,
) -> tuple[nn.Module, str]:
    if not name.startswith(HUB_PREFIXES) and not timm.is_model(name.split(".")[0]):
        near = timm.list_models(f"*{name}*")[:4]
        hint = f"; did you mean {', '.join(near)}?" if near else " (timm.list_models() names them)"
        raise InputError(f"timm has no model {name!r}{hint}")
    if num_classes is None and state is not None:
        num_classes = _classes_of(name, state)
    if num_classes is not None:
        arguments["num_classes"] = num_classes
    state = embedded_state_dict(name) if weights == "auto" and state is None else state
    source = "embedded" if weights == "auto" and state is not None else weights
    pretrained = weights == "auto" and state is None
    try:
        model = timm.create_model(name, pretrained=pretrained, **arguments)
    except Exception as error:  # timm and the hub raise anything from OSError to RuntimeError here
        first = (str(error).strip().splitlines() or [""])[0]
        why = f"{type(error).__name__}: {first}"[:200]
        advice = "give its weights as a file (--weights FILE), or connect to the hub" if pretrained else "check its arguments"
        raise InputError(f"cannot build {name}: {why}; {advice}") from error
    if state is not None:
        _load_strictly(model, state, source)
    return model, "timm" if pretrained else source


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


def _module_by_path(path: str, arguments: dict[str, Any], num_classes: int | None) -> nn.Module:
    module_name, _, class_name = path.rpartition(".")
    if num_classes is not None:
        arguments = {**arguments, "num_classes": num_classes}
    try:
        factory = getattr(importlib.import_module(module_name), class_name)
        model = factory(**arguments)
    except (ImportError, AttributeError, TypeError) as error:
        raise InputError(
            f"cannot build the classifier {path}: {error}; give a timm name or an importable package.module.Class"
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(f"{path} builds a {type(model).__name__}, not a torch.nn.Module")
    return model


def _read_state_dict(path: str) -> dict[str, Tensor]:
    if not os.path.isfile(path):
        raise InputError(f"no weight file at {path}: give auto, random or a safetensors or checkpoint file")
    try:
        state = timm.models.load_state_dict(path, weights_only=True)
    except Exception as error:  # unpickling refuses code with several exception types
        first = (str(error).strip().splitlines() or [""])[0]
        raise InputError(f"cannot read weights from {path}: {type(error).__name__}: {first[:150]}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds no state dict: save model.state_dict() or a safetensors file")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _load_strictly(model: nn.Module, state: dict[str, Tensor], source: str) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = [line.strip() for line in str(error).splitlines()[1:3]]
        raise InputError(f"the weights of {source} do not fit {type(model).__name__}: {' '.join(first)[:300]}") from error


def _read_class_names(path: str | Path) -> list[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read class names from {path}: {error}") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path} holds no class names: write one per line")
    return names


def _known_class_names(model: nn.Module) -> list[str] | None:
    """ImageNet's names from timm's own tables, or the names a hub model carries."""
    config = getattr(model, "pretrained_cfg", None) or {}
    if config.get("label_names"):
        return list(config["label_names"])
    subset = infer_imagenet_subset(model) if hasattr(model, "num_classes") else None
    if subset is None:
        return None
    info = ImageNetInfo(subset)
    return [info.index_to_description(index) for index in range(info.num_classes())]


def parse_model_args(text: str) -> dict[str, Any]:
    """Constructor arguments given as JSON on a command line."""
    try:
        arguments = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--model-args is not JSON ({error}); write for instance '{{\"width\": 32}}'") from error
    if not isinstance(arguments, dict):
        raise InputError("--model-args must be a JSON object, for instance '{\"width\": 32}'")
    return arguments
