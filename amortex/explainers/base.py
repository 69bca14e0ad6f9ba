"""What every explainer offers, and what it returns."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from amortex.core.errors import InputError
from amortex.core.masks import energy, top_share
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion

# Called after each step of an iterative method with the number of steps done and the masks (B, k) so far.
OnStep = Callable[[int, Tensor], None]


@dataclass(frozen=True)
class Explanation:
    """Masks for a batch of images.

    Arguments:
        encoded: the signals and the classes explained.
        mask: ``(B, k)`` in [0, 1].
        relevance: ``(B, k)``, non-negative: the order of the entries.
        signed: ``(B, k)``, signed attribution summed over channels, where the method has signs.
        extra: further results per image, ``(B,)`` each; of every method ``passes``, the classifier passes it took.
    """

    encoded: EncodedBatch
    mask: Tensor
    relevance: Tensor
    signed: Tensor | None = None
    extra: dict[str, Tensor] = field(default_factory=dict)

    @property
    def importance(self) -> Tensor:
        """What maps and profiles show, ``(B, k)``: the mask where it is soft, the relevance where it is a selection.

        An empty mask and a full one select nothing, and are shown as they are.
        """
        dropped = (self.mask == 0) if self.encoded.live is None else (self.mask == 0) & self.encoded.live
        selects = dropped.any(1, keepdim=True) & (self.mask == 1).any(1, keepdim=True)
        soft = ((self.mask > 0) & (self.mask < 1)).any(1, keepdim=True)
        return torch.where(selects & ~soft, self.relevance, self.mask)


class Explainer(nn.Module, ABC):
    """Explains the decisions of the classifier inside `rate_distortion`.

    Subclasses implement `_explain` and set `steps`, the number of times they report progress.

    Arguments:
        rate_distortion: classifier, transform, obfuscation and distortion.
        seed: of the run; each image derives its own from it.
    """

    steps: int = 1
    certificate_samples: int = 64  # noise draws that certify its masks by default

    def __init__(self, rate_distortion: RateDistortion, seed: int = 0) -> None:
        super().__init__()
        self.rate_distortion = rate_distortion
        self.seed = seed

    def explain(self, image: Tensor, target: Tensor | None = None, on_step: OnStep | None = None) -> Explanation:
        """Explain signals ``(B, C, *size)`` for classes `target` ``(B,)``, by default the predicted ones.

        Raises:
            InputError: values outside the range of the problem; a target that is no class index for each signal.
        """
        check_range(image, self.rate_distortion.value_range)
        target = (
            None if target is None else class_indices(target, len(image), self.rate_distortion.classifier.num_classes)
        )
        with torch.inference_mode(False):  # gradients are needed, whatever mode the caller is in
            image = image.clone() if image.is_inference() else image
            target = target.clone() if target is not None and target.is_inference() else target
            with self.rate_distortion.classifier.count_passes(len(image)) as counter:
                explanation = self._start(image, target, self._reporting(on_step))
            passes = counter.per_image.to(image.device, torch.float32)
            return replace(explanation, extra={**explanation.extra, "passes": passes})

    def _reporting(self, on_step: OnStep | None) -> OnStep:
        """Calls `on_step`, if it is one; passes that it makes are not the method's."""

        def report(step: int, mask: Tensor) -> None:
            if on_step is not None:
                with self.rate_distortion.classifier.uncounted():
                    on_step(step, mask)

        return report

    def _start(self, image: Tensor, target: Tensor | None, on_step: OnStep) -> Explanation:
        encoded = self.rate_distortion.encode(image, target)
        return self._explain(encoded, NoiseStreams.of(image, self.seed, "optimise"), on_step)

    @abstractmethod
    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation: ...

    def attribute(self, inputs: Tensor, target: int | Sequence[int] | Tensor | None = None) -> Tensor:
        """Captum's signature: a non-negative map of relevance of the shape of `inputs` ``(B, C, *size)``.

        Relevance belongs to coefficients, which the colour channels share, so all channels are equal.
        """
        if target is not None:
            target = torch.as_tensor(target, device=inputs.device).expand(len(inputs))
        explanation = self.explain(inputs, target)
        spatial = self.rate_distortion.transform.spatial_map(explanation.importance, explanation.encoded.coefficients)
        return spatial[:, None].expand_as(inputs).to(inputs.dtype)

    def for_target(self) -> "Explainer":
        """The explainer for classes that need not be the predicted ones."""
        return self

    def settings(self) -> dict[str, str | int | float]:
        """The arguments that determine the result, as plain values."""
        return {"seed": self.seed}

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.settings().items())
        return f"{type(self).__name__}({settings}, {self.rate_distortion})"


def picture(rate_distortion: RateDistortion, explanation: Explanation) -> Tensor:
    """The explanation without colour, ``clamp(T^-1(s * T(grey(x))))``, ``(B, 1, *size)`` (CartoonX, section 3)."""
    with torch.no_grad():
        grey = rate_distortion.transform(explanation.encoded.image.mean(1, keepdim=True))
        return rate_distortion.picture(grey.masked(explanation.mask))


def ranking(
    encoded: EncodedBatch, relevance: Tensor, rate: float, signed: Tensor | None = None, on_step: OnStep | None = None
) -> Explanation:
    """An explanation by relevance ``(B, k)``: its mask keeps the top share `rate`, ties broken by energy."""
    mask = top_share(relevance, rate, energy(encoded.coefficients), encoded.live)
    if on_step is not None:
        on_step(1, mask)
    signed = None if signed is None else encoded.only_live(signed)
    return Explanation(encoded, mask, encoded.only_live(relevance), signed)


def check_range(signal: Tensor, value_range: tuple[float, float]) -> None:
    """Raises InputError for values outside the range."""
    low, high = value_range
    if not bool(((signal >= low) & (signal <= high)).all()):
        values = "pixels" if signal.ndim == 4 else "values"
        nan = signal.isnan().flatten(1).any(1)
        if bool(nan.any()):
            number = int(nan.nonzero()[0])
            raise InputError(
                f"{values} of input {number} (counted from 0) are NaN: replace them, or leave the input out"
            )
        raise InputError(f"explainers take {values} in [{low:g}, {high:g}]: the classifier normalises them itself")


def class_indices(target: Tensor, count: int, num_classes: int) -> Tensor:
    """Classes ``(B,)`` of any integer type as ``int64``.

    Raises:
        InputError: other numbers, another number of them, or classes that do not exist.
    """
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise InputError(f"a target is a class index (an integer), not {target.dtype}")
    if target.shape != (count,):
        raise InputError(f"targets must have shape ({count},), one for each input, not {tuple(target.shape)}")
    if bool(((target < 0) | (target >= num_classes)).any()):
        raise InputError(f"targets must be classes 0 to {num_classes - 1}")
    return target.long()


def check_share(rate: float, name: str = "rate") -> float:
    """The rate itself; raises InputError unless it is in (0, 1]."""
    if not 0 < rate <= 1:
        raise InputError(f"{name} must be above 0 and at most 1, not {rate}")
    return rate
