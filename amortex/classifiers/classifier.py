"""A frozen classifier whose normalisation is inside: it takes signals as they are."""

import logging
from typing import Any, get_args

import torch
from torch import Tensor, nn

from amortex.classifiers.activation import choose_activation
from amortex.classifiers.behaviour import FROZEN, examine, refuse_incomplete, watched_generators
from amortex.classifiers.class_names import ClassNames, check_count, class_index, read_class_names, short_names
from amortex.classifiers.copying import freeze
from amortex.classifiers.data_config import check_normalisation
from amortex.classifiers.default import Activation
from amortex.classifiers.fingerprint import digest
from amortex.classifiers.folding import fold_batch_norms
from amortex.classifiers.outputs import compute_dtype, outputs_of
from amortex.classifiers.pass_counter import CountedModule, counted
from amortex.core.catalog import check_name
from amortex.core.errors import InputError
from amortex.core.nd import channels_last, expand_dims, innermost_channels

LABEL_THRESHOLD = 0.5  # probability from which one of several labels is given

logger = logging.getLogger(__name__)


class Classifier(CountedModule):
    """Signals ``(B, C, *size)``, images in [0, 1] -> logits ``(B, M)``; frozen, always in evaluation mode.

    Batch normalisations are folded into the convolutions before them, which changes outputs by rounding alone. The
    module is taken over: evaluation mode and frozen weights are set on itself. `load_classifier` takes a copy.

    Arguments:
        model: any module from normalised signals ``(B, C, *size)`` to logits ``(B, M)``, see `logits_of`.
        data_config: ``input_size`` ``(C, *size)``, ``mean`` and ``std``, one value or one per channel; for images also
            timm's ``interpolation``, ``crop_pct`` and ``crop_mode``.
        name: how outputs name the classifier.
        weights: where the weights came from.
        class_names: see `read_class_names`; without them the names are "class 0", "class 1", ...
        model_args: arguments that the model was built with.
        activation: what makes probabilities of the outputs: ``softmax``; ``sigmoid``, for several labels at once;
            ``none``, where they are probabilities already; or ``auto``: ``none`` where outputs for a few inputs are all
            in [0, 1] and do not come from a linear layer, else ``softmax``. A single output means two classes.

    Attributes:
        activation: the one that is used, never ``auto``.
        multi_label: whether the probabilities are those of several labels at once, which do not sum to one.
        front_end: from signals as they are read (`signal_config`) to those explained, see `on_spectrograms`.
        caveats: sentences about the network that make every certificate of it doubtful.

    Raises:
        InputError: an unknown activation; `mean` and `std` that do not fit; a model that does not map signals of that
            size to logits; names that are not one per class.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        data_config: dict[str, Any],
        name: str,
        weights: str = "unknown",
        class_names: ClassNames | None = None,
        model_args: dict[str, Any] | None = None,
        activation: Activation = "auto",
    ) -> None:
        super().__init__()
        check_name("activation", activation, get_args(Activation))
        refuse_incomplete(model, name)
        self.model_args = dict(model_args or {})
        dims = len(data_config["input_size"]) - 1
        self.model = innermost_channels(freeze(model), dims)
        self.data_config, self.name, self.weights = dict(data_config), name, weights
        self.signal_config: dict[str, Any] = self.data_config
        self.front_end: nn.Module = nn.Identity().eval()
        for key in ("mean", "std"):
            self.register_buffer(
                key, expand_dims(torch.tensor(data_config[key], dtype=torch.float32), dims), persistent=False
            )
        check_normalisation(self.mean, self.std, self.input_size[0])
        example = torch.rand(2, *self.input_size, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
        observed = examine(self.model, self.normalise(example), name)
        self.binary, self.num_classes = observed.outputs.shape[1] == 1, max(2, observed.outputs.shape[1])
        choice = choose_activation(observed.kind, self.binary, activation)
        self.activation, self.multi_label = choice.activation, choice.multi_label
        self.caveats = observed.caveats + choice.caveats
        for notice in filter(None, (observed.choice, choice.notice)):
            logger.warning("%s: %s", name, notice)
        self.obstacle = observed.obstacle
        self._fingerprint = digest(self.model)
        with watched_generators():
            self.model = fold_batch_norms(self.model, self.normalise(example).to(compute_dtype(self.model)))
        self.class_names = None if class_names is None else read_class_names(class_names)
        self._short_names = short_names(self.class_names or ())
        check_count(self.class_names, self.num_classes, self.binary, name)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.input_size))
        return f"Classifier({self.name!r}, {self.num_classes} classes, {size}, weights={self.weights!r})"

    @counted
    def forward(self, x: Tensor) -> Tensor:
        try:
            return self._logits(self.normalise(x))
        except RuntimeError as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            why = " ".join(str(error).split())[:150]
            raise InputError(f"torch.compile cannot compile {self.name} here ({why}): leave it out") from error

    def two_classes(self, outputs: Tensor) -> Tensor:
        """Outputs ``(B, M)`` of the network as logits of at least two classes; a single y becomes ``(-y/2, y/2)``.

        Their softmax is that of ``(0, y)``. A constant logit of the first class would have no gradient to explain.
        """
        if not self.binary:
            return outputs
        if self.activation == "none":
            return torch.cat([1 - outputs, outputs], 1)
        return torch.cat([-outputs / 2, outputs / 2], 1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """``Phi`` of logits ``(..., M)``, in float32 at least."""
        dtype = torch.promote_types(logits.dtype, torch.float32)
        if self.activation == "none":
            return logits.to(dtype)
        if self.multi_label:
            return logits.to(dtype).sigmoid()
        return logits.softmax(-1, dtype=dtype)

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Logarithms of `probabilities`."""
        if self.activation == "none":
            return logits.clamp(min=torch.finfo(logits.dtype).tiny).log()
        if self.multi_label:
            return nn.functional.logsigmoid(logits)
        return logits.log_softmax(-1)

    def decides(self, probabilities: Tensor, target: Tensor, highest: Tensor | None = None) -> Tensor:
        """Whether probabilities ``(..., M)`` decide for classes `target`, which broadcasts to ``(...)``.

        A class needs the highest probability. Of several labels, one that is not the `highest` of the clean input, by
        default the target, needs a probability of at least one half instead: others occur beside it.
        """
        decided = (probabilities.argmax(-1) == target) & ~probabilities.isnan().any(-1)
        if highest is None or not self.multi_label:
            return decided
        own = probabilities.gather(-1, target.expand(probabilities.shape[:-1])[..., None])[..., 0]
        return torch.where(target == highest, decided, own >= LABEL_THRESHOLD)

    @counted
    def forward_normalised(self, x: Tensor) -> Tensor:
        """Logits of signals that are normalised already."""
        return self._logits(x)

    @counted
    def forward_intermediates(self, x: Tensor, indices: list[int] | None = None) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Logits, final features and feature maps of images ``(B, C, H, W)`` in [0, 1], as timm's networks give them.

        `indices` choose the maps, by default all.
        """
        model: Any = self.model
        normalised = self.normalise(x)
        final, maps = model.forward_intermediates(normalised.to(compute_dtype(model)), indices=indices)
        dtype = torch.promote_types(x.dtype, torch.float32)
        logits = self.two_classes(model.forward_head(final).to(dtype))
        return logits, final.to(dtype), [feature_map.to(dtype) for feature_map in maps]

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Have `torch.compile` compile the network at its first use. It may pay on a GPU, but was slower on CPUs."""
        self.model.compile(*args, **kwargs)

    def normalise(self, x: Tensor) -> Tensor:
        """``(x - mean) / std`` of signals ``(B, C, *size)``, with the channels innermost in memory."""
        channels, length = x.shape[1], x.shape[-1]
        # one fused pass over long rows: a row is the last axis with all channels, in memory order
        offset, factor = (value.reshape(-1).expand(length, channels).flatten()
                          for value in (-self.mean / self.std, 1 / self.std))  # fmt: skip
        rows = channels_last(x).movedim(1, -1).flatten(-2)
        normalised: Tensor = torch.addcmul(offset, rows, factor).unflatten(-1, (length, channels)).movedim(-1, 1)
        return normalised

    def _logits(self, x: Tensor) -> Tensor:
        """Logits of normalised signals."""
        outputs = outputs_of(self.model, x)
        if x.requires_grad and torch.is_grad_enabled() and (self.obstacle or not outputs.requires_grad):
            raise InputError(
                f"{self.name} passes no gradients ({self.obstacle or FROZEN}): give another form of it, "
                "or choose a method that needs none, such as lime"
            )
        return self.two_classes(outputs)

    def train(self, mode: bool = True) -> "Classifier":
        """A frozen classifier stays in evaluation mode."""
        self.training = False
        return self

    def fingerprint(self) -> str:
        """Digest of the weights that the model came with: it tells networks of one name apart."""
        return self._fingerprint

    @property
    def input_size(self) -> tuple[int, ...]:
        """``(C, *size)``, of images ``(C, H, W)``."""
        return tuple(self.data_config["input_size"])

    def class_name(self, index: int) -> str:
        """What a class is shown as: the first of its synonyms if it is no other class's, else its whole name."""
        return self._short_names[index] if self.class_names else f"class {index}"

    def class_index(self, target: str | int) -> int:
        """The class of an index or a name (whole, a synonym, or any unique part of one).

        Raises:
            InputError: no such class, or several; ``index:10`` and ``name:10`` say which a number is.
        """
        return class_index(target, self.class_names, self.num_classes, self.name)
