"""Explanations of a batch of images by each method: from memory, from disk, or made now."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from amortex.comparison.cache import ResultCache
from amortex.comparison.methods import Method
from amortex.comparison.mixtures import Mixture, PartnersOf, overlapped, with_white_noise
from amortex.comparison.stopwatch import Stopwatch, synchronise
from amortex.core.modalities import modality_of
from amortex.explainers.base import Explanation

FrontEnd = Callable[[Tensor], Tensor]  # signals as they are read -> what the classifier is explained on
LEAST_CACHED_STEPS = 10  # explanations of fewer steps cost too little to be kept on disk


@dataclass(frozen=True)
class TimedExplanation:
    """Explanations of a batch, and what each took."""

    explanation: Explanation
    seconds: Tensor  # (B,), equal shares of the batch's
    passes: Tensor  # (B,), of the classifier

    def tensors(self) -> dict[str, Tensor]:
        """What a cache keeps: all but the encoded batch, which costs one pass to make again."""
        explanation = self.explanation
        tensors = {"mask": explanation.mask, "relevance": explanation.relevance}
        if explanation.signed is not None:
            tensors["signed"] = explanation.signed
        return {**tensors, "seconds": self.seconds, "passes": self.passes}


class ExplainedBatch:
    """Images, and their explanations so far.

    Arguments:
        signal: ``(B, C, *size)``.
        cache: where costly explanations are kept.
        stopwatch: times what is made.
        partners: finds the other signals of the mixture ``overlap``.
        front_end: of the classifier.

    Attributes:
        signal: as it was read.
        image: what the front end makes of it, which is explained: but for the mel domain the same.
    """

    def __init__(
        self,
        signal: Tensor,
        cache: ResultCache,
        stopwatch: Stopwatch,
        partners: PartnersOf | None = None,
        front_end: FrontEnd | None = None,
    ) -> None:
        self.signal, self.image, self.front_end = signal, front_end(signal) if front_end else signal, front_end
        self.cache, self.stopwatch, self.partners = cache, stopwatch, partners
        self._explanations: dict[str, TimedExplanation] = {}
        self._mixed: dict[str, MixedBatch] = {}
        self._parts: dict[tuple[int, ...], ExplainedBatch] = {}

    @cached_property
    def digests(self) -> list[str]:
        """What the cache knows each image by."""
        return self.cache.digests(self.image)

    @property
    def device(self) -> str:
        """Its type. Cached results belong to it, because seconds are measured, too."""
        return self.image.device.type

    def of(self, positions: Sequence[int]) -> "ExplainedBatch":
        """Some of the signals, whose explanations so far are kept apart; all of them are the batch itself."""
        key = tuple(positions)
        if len(key) == len(self.signal):
            return self
        if key not in self._parts:
            self._parts[key] = self._part(list(key))
        return self._parts[key]

    def _part(self, positions: list[int]) -> "ExplainedBatch":
        partners = self.partners
        others = None if partners is None else lambda _: partners(self.signal)[positions]
        return ExplainedBatch(self.signal[positions], self.cache, self.stopwatch, others, self.front_end)

    def mixed(self, name: str) -> "MixedBatch":
        """The signals in one of the `MIXTURES`, made once per batch.

        Raises:
            InputError: no partner can be found.
        """
        if name not in self._mixed:
            value_range = modality_of(self.signal.ndim - 2).value_range
            if name == "noise":
                mixture = with_white_noise(self.signal, value_range)
            else:
                assert self.partners is not None, "overlap needs partners"
                mixture = overlapped(self.signal, self.partners(self.signal), value_range)
            self._mixed[name] = MixedBatch(self, mixture)
        return self._mixed[name]

    def explain(self, method: Method, target: Tensor | None = None) -> TimedExplanation:
        """Explanations by a method, made once per batch; `target` ``(B,)`` for other than the predicted classes."""
        # by its settings: methods of one name differ between sections
        key = str((method.settings, None if target is None else target.tolist()))
        if key not in self._explanations:
            with self.stopwatch.section(f"explaining: {method.shown.label}"):
                cached = method.explainer.steps >= LEAST_CACHED_STEPS
                self._explanations[key] = (self._load_or_run if cached else self._run)(method, self.image, target)
        return self._explanations[key]

    def _load_or_run(self, method: Method, image: Tensor, target: Tensor | None) -> TimedExplanation:
        """Explanations from the cache; those of images that it lacks are made together."""
        classes = ["predicted"] * len(image) if target is None else target.tolist()
        keys = [{**method.settings, "target": name, "device": self.device} for name in classes]
        rows = [self.cache.load_tensors(digest, key) for digest, key in zip(self.digests, keys, strict=True)]
        missing = [index for index, row in enumerate(rows) if row is None]
        if missing:
            fresh = self._run(method, image[missing], None if target is None else target[missing]).tensors()
            for position, index in enumerate(missing):
                rows[index] = {name: values[position].cpu() for name, values in fresh.items()}
                self.cache.save_tensors(self.digests[index], keys[index], rows[index] or {})
        complete = [row for row in rows if row is not None]
        tensors = {name: torch.stack([row[name] for row in complete]).to(image.device) for name in complete[0]}
        encoded = method.explainer.rate_distortion.encode(image, target)
        explanation = Explanation(encoded, tensors["mask"], tensors["relevance"], tensors.get("signed"))
        return TimedExplanation(explanation, tensors["seconds"], tensors["passes"])

    def _run(self, method: Method, image: Tensor, target: Tensor | None) -> TimedExplanation:
        """Explanations made now."""
        synchronise(image.device)
        start = time.perf_counter()
        with method.explainer.rate_distortion.classifier.count_passes(len(image)) as counter:
            explanation = method.explainer.explain(image, target)
        synchronise(image.device)
        seconds = (time.perf_counter() - start) / len(image)
        return TimedExplanation(explanation, image.new_full((len(image),), seconds), counter.per_image.to(image))


class MixedBatch(ExplainedBatch):
    """Mixtures, and their explanations so far.

    Arguments:
        clean: the signals that are their targets.
        mixture: of them.

    Attributes:
        target: what the signal has of its target, before any front end.
    """

    def __init__(self, clean: ExplainedBatch, mixture: Mixture) -> None:
        super().__init__(mixture.signal, clean.cache, clean.stopwatch, front_end=clean.front_end)
        self.clean, self.target = clean, mixture.target

    def _part(self, positions: list[int]) -> "MixedBatch":
        return MixedBatch(self.clean.of(positions), Mixture(self.signal[positions], self.target[positions]))

    @cached_property
    def digests(self) -> list[str]:
        return self.cache.digests(torch.cat([self.signal, self.target], 1))  # what is measured depends on both
