"""A frozen classifier on pixels in [0, 1], with its own normalisation inside."""

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from timm.data import resolve_data_config
from torch import Tensor, nn

from amortex.classifiers.class_names import index_of, known_class_names, read_class_names
from amortex.classifiers.default import DEFAULT_CLASSIFIER, Activation
from amortex.classifiers.folding import fold_batch_norms
from amortex.classifiers.pass_counter import CountedModule, counted
from amortex.classifiers.weights import build_network
from amortex.core.errors import InputError
from amortex.core.nd import MEMORY_FORMATS, channels_last, expand_dims


class Classifier(CountedModule):
    """Signals ``(B, C, *size)``, images in [0, 1] -> logits ``(B, M)``; frozen, always in evaluation mode.

    Batch normalisations are folded into the convolutions before them, which changes outputs by rounding alone.

    Arguments:
        model: any module from normalised images to logits.
        data_config: timm's data config: input_size, mean, std, interpolation, crop_pct, crop_mode.
        name: how to name the classifier in outputs.
        weights: where the weights came from.
        class_names: one name per class, or None for "class 0", "class 1", ...
        model_args: what the model was built with, beside its weights.
        activation: what makes probabilities of the outputs: ``softmax``; ``sigmoid``, for several labels at once; or
            ``none``, where they are probabilities already. A single output ``y`` means two classes of logits 0 and y.

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
        model_args: dict[str, Any] | None = None,
        activation: Activation = "softmax",
    ) -> None:
        super().__init__()
        if activation not in get_args(Activation):
            raise InputError(f"unknown activation {activation!r}: use one of {', '.join(get_args(Activation))}")
        self.activation = activation
        self.model_args = dict(model_args or {})
        dims = len(data_config["input_size"]) - 1
        self.model = model.eval().requires_grad_(False).to(memory_format=MEMORY_FORMATS[dims])
        self.data_config, self.name, self.weights = dict(data_config), name, weights
        for key in ("mean", "std"):
            self.register_buffer(
                key, expand_dims(torch.tensor(data_config[key], dtype=torch.float32), dims), persistent=False
            )
        self.num_classes = self._probe()
        self._fingerprint = digest(self.model)
        example = torch.rand(2, *self.input_size, generator=torch.Generator().manual_seed(0))
        self.model = fold_batch_norms(self.model, self.normalise(example))
        self.class_names = None if class_names is None else list(class_names)
        if self.class_names is not None and len(self.class_names) != self.num_classes:
            raise InputError(
                f"{name} has {self.num_classes} classes, but {len(self.class_names)} class names were given"
            )

    def __repr__(self) -> str:
        size = "x".join(map(str, self.input_size))
        return f"Classifier({self.name!r}, {self.num_classes} classes, {size}, weights={self.weights!r})"

    @counted
    def forward(self, x: Tensor) -> Tensor:
        try:
            logits: Tensor = self.model(self.normalise(x))
        except RuntimeError as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            why = " ".join(str(error).split())[:150]
            raise InputError(f"torch.compile cannot compile {self.name} here ({why}): leave it out") from error
        return self.two_classes(logits)

    def two_classes(self, outputs: Tensor) -> Tensor:
        """Outputs ``(B, M)`` of the network as logits of at least two classes: a single one is that of the second."""
        if not self.binary:
            return outputs
        first = 1 - outputs if self.activation == "none" else torch.zeros_like(outputs)
        return torch.cat([first, outputs], 1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """``Phi`` of logits ``(..., M)``, in float32 at least."""
        dtype = torch.promote_types(logits.dtype, torch.float32)
        if self.activation == "none":
            return logits.to(dtype)
        if self.activation == "sigmoid" and not self.binary:
            return logits.to(dtype).sigmoid()
        return logits.softmax(-1, dtype=dtype)

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Logarithms of `probabilities`."""
        if self.activation == "none":
            return logits.clamp(min=torch.finfo(logits.dtype).tiny).log()
        if self.activation == "sigmoid" and not self.binary:
            return nn.functional.logsigmoid(logits)
        return logits.log_softmax(-1)

    @counted
    def forward_normalised(self, x: Tensor) -> Tensor:
        """Logits of images that are normalised already."""
        return self.two_classes(self.model(x))

    @counted
    def forward_intermediates(self, x: Tensor, indices: list[int] | None = None) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Logits, final features and feature maps of images ``(B, C, H, W)`` in [0, 1], as timm's networks give them.

        `indices` choose the maps, by default all.
        """
        model: Any = self.model
        final, maps = model.forward_intermediates(self.normalise(x), indices=indices)
        return self.two_classes(model.forward_head(final)), final, maps

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Have `torch.compile` compile the network, with these arguments, when it is first used.

        Worth a try on a GPU, in long runs. On a CPU passes forward and backward were slower.
        """
        self.model.compile(*args, **kwargs)

    def normalise(self, x: Tensor) -> Tensor:
        """``(x - mean) / std``, channels-last."""
        channels, length = x.shape[1], x.shape[-1]
        # in one fused pass over long rows: a row is the last axis of all channels, in memory order
        offset, factor = (value.reshape(-1).expand(length, channels).flatten()
                          for value in (-self.mean / self.std, 1 / self.std))  # fmt: skip
        rows = channels_last(x).movedim(1, -1).flatten(-2)
        normalised: Tensor = torch.addcmul(offset, rows, factor).unflatten(-1, (length, channels)).movedim(-1, 1)
        return normalised

    def _probe(self) -> int:
        """Number of classes, from the output on one grey image."""
        channels = self.input_size[0]
        if {len(self.mean), len(self.std)} - {1, channels}:
            raise InputError(f"mean and std need 1 or {channels} values, one per input channel")
        if not bool((self.std > 0).all() & self.std.isfinite().all() & self.mean.isfinite().all()):
            raise InputError("mean and std must be finite, and every std above 0")
        try:
            with torch.no_grad():
                outputs = self.model(self.normalise(torch.full((1, *self.input_size), 0.5)))
        except Exception as error:  # a network given the wrong size or channels can raise anything
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            size = "x".join(map(str, self.input_size))
            raise InputError(f"{self.name} cannot classify an input of size {size}: {first[:150]}") from error
        if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != 1:
            raise InputError(f"{self.name} is no classifier: it must map (B, C, *size) to logits (B, classes)")
        self.binary = outputs.shape[1] == 1
        return max(2, outputs.shape[1])

    def train(self, mode: bool = True) -> "Classifier":
        """A frozen classifier stays in evaluation mode."""
        return super().train(False)

    def fingerprint(self) -> str:
        """Digest of the weights that the model came with, to tell networks of one name apart."""
        return self._fingerprint

    @property
    def input_size(self) -> tuple[int, int, int]:
        """``(C, H, W)``."""
        size: tuple[int, int, int] = self.data_config["input_size"]
        return size

    def class_name(self, index: int) -> str:
        """Short name of a class: the first of its synonyms."""
        return f"class {index}" if self.class_names is None else self.class_names[index].split(",")[0].strip()

    def class_index(self, target: str | int) -> int:
        """The class meant by an index or a name (a synonym, or any unique part of one).

        Raises:
            InputError: no such class, or several.
        """
        text = str(target).strip()
        try:
            index = int(text)
        except ValueError:
            if self.class_names is None:
                raise InputError(
                    f"{self.name} has no class names: give --target as an index, or --class-names"
                ) from None
            return index_of(text, self.class_names, self.name)
        if not 0 <= index < self.num_classes:
            raise InputError(f"class {index} does not exist: {self.name} has classes 0 to {self.num_classes - 1}")
        return index


def digest(model: nn.Module) -> str:
    """Digest of a model's weights."""
    digest = hashlib.blake2b(digest_size=8)
    for key, value in model.state_dict().items():
        digest.update(key.encode() + value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load_classifier(
    name: str | nn.Module = DEFAULT_CLASSIFIER,
    weights: str = "auto",
    num_classes: int | None = None,
    class_names: str | Path | Sequence[str] | None = None,
    model_args: dict[str, Any] | None = None,
    activation: Activation = "softmax",
    **data_config: Any,
) -> Classifier:
    """Build a frozen classifier.

    Arguments:
        name: a timm name (also ``hf-hub:...`` and ``local-dir:...``), or the class path of an `nn.Module`
            (``package.module.Class``); or a module with its weights, of which a copy is taken.
        weights: ``auto`` (embedded where there are any, else what timm downloads; for a class path whatever its
            constructor loads), ``random``, or a safetensors or checkpoint file (read without executing code).
        num_classes: number of classes; by default read off the weight file, or the model's own.
        class_names: text file with one class name per line, or the names.
        model_args: further arguments of the model's constructor.
        activation: what makes probabilities of the outputs, see `Classifier`.
        **data_config: overrides of timm's data config: input_size (the side of a square, or ``(C, H, W)``), mean, std,
            interpolation, crop_pct, crop_mode.

    Raises:
        InputError: an unknown name, weights that do not fit or cannot be had, a wrong class name file.
    """
    arguments = dict(model_args or {})
    names = None if class_names is None else read_class_names(class_names)
    if isinstance(name, nn.Module):
        if weights != "auto" or num_classes is not None or arguments:
            raise InputError("a module is explained as it is: leave out weights, num_classes and model_args")
        model, source, name = copy.deepcopy(name).cpu(), "its own", _name_of(name)
    else:
        with torch.random.fork_rng():
            torch.manual_seed(0)  # untrained weights are the same ones each time
            model, source = build_network(name, weights, num_classes, arguments)
    config = _data_config(model, arguments, {key: value for key, value in data_config.items() if value is not None})
    names = known_class_names(model) if names is None else names
    return Classifier(model, config, name, source, names, model_args, activation)


def _name_of(model: nn.Module) -> str:
    """What names the network for `build_network`: timm's name, or its class path."""
    known = getattr(model, "pretrained_cfg", None) or {}
    return str(known.get("architecture") or f"{type(model).__module__}.{type(model).__qualname__}")


def _data_config(model: nn.Module, arguments: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """timm's data config of a network, for as many channels as it was built for."""
    known = getattr(model, "pretrained_cfg", None) or {}
    channels, *size = known.get("input_size") or (3, 224, 224)
    channels = arguments.get("in_chans", channels)
    asked = overrides.pop("input_size", None)
    size = [asked] * len(size) if isinstance(asked, int) else size if asked is None else list(asked)
    overrides["input_size"] = tuple(size) if asked is not None and len(size) == 3 else (channels, *size)
    try:
        config: dict[str, Any] = resolve_data_config(overrides, model=model)
        return config
    except AssertionError as error:  # timm's check of the lengths of mean and std
        raise InputError(f"mean and std need 1 or {overrides['input_size'][0]} values, one per channel") from error
