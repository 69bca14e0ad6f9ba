"""The methods that are compared, and explanations of a batch by each: from memory, from disk, or made."""

import time
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from amortex.comparison.stopwatch import Stopwatch, synchronise
from amortex.comparison.store import Store
from amortex.explainers.base import Explainer, Explanation
from amortex.explaining.batch import Request
from amortex.transforms.base import Transform
from amortex.transforms.pixel import Pixel

COSTLY = 10  # steps of an explainer from which on its explanations are kept on disk


@dataclass(frozen=True)
class Method:
    """A row of the tables.

    Arguments:
        name: of the row.
        explainer: what explains.
        kind: ``exact``, ``amortized``, ``classical`` or ``trivial``: how plots draw it.
        lambda_k: its sparsity weight, where it has one.
    """

    name: str
    explainer: Explainer
    kind: str
    lambda_k: float | None = None

    @property
    def transform(self) -> Transform:
        return self.explainer.rate_distortion.transform

    @property
    def on_pixels(self) -> bool:
        return isinstance(self.transform, Pixel)

    @cached_property
    def settings(self) -> dict[str, object]:
        """Everything that determines its explanations."""
        known = Request(self.explainer, type(self.explainer).__name__, certificate_samples=0).settings()
        return {key: value for key, value in known.items() if key not in ("certificate_samples", "asked_target")}


@dataclass(frozen=True)
class TimedExplanation:
    """Explanations of a batch, and what each took: a share of the batch's seconds, and classifier passes."""

    explanation: Explanation
    seconds: Tensor  # (B,)
    passes: Tensor  # (B,)


class Batch:
    """Images, and what was made of them so far.

    Arguments:
        image: ``(B, C, H, W)``.
        store: where costly explanations are kept.
        watch: counts and times.
    """

    def __init__(self, image: Tensor, store: Store, watch: Stopwatch) -> None:
        self.image, self.store, self.watch = image, store, watch
        self.digests = store.digests(image)
        self._made: dict[str, TimedExplanation] = {}

    @property
    def device(self) -> str:
        """Its type, which what is kept belongs to: seconds are measured, too."""
        return self.image.device.type

    def explain(self, method: Method, target: Tensor | None = None) -> TimedExplanation:
        """Explanations by a method, made once per batch; `target` ``(B,)`` for other than the predicted classes."""
        # by its settings: methods of one name differ between sections
        key = str((method.settings, None if target is None else target.tolist()))
        if key not in self._made:
            with self.watch.section(f"explaining: {method.name}"):
                self._made[key] = self._explain(method, target)
        return self._made[key]

    def _explain(self, method: Method, target: Tensor | None) -> TimedExplanation:
        if method.explainer.steps < COSTLY:
            return self._run(method, self.image, target)
        classes = ["predicted"] * len(self.image) if target is None else target.tolist()
        keys = [{**method.settings, "target": one, "device": self.device} for one in classes]
        kept = [self.store.tensors(digest, key) for digest, key in zip(self.digests, keys, strict=True)]
        missing = [index for index, tensors in enumerate(kept) if tensors is None]
        rows = [{} if tensors is None else tensors for tensors in kept]
        if missing:
            made = self._run(method, self.image[missing], None if target is None else target[missing])
            for place, index in enumerate(missing):
                rows[index] = {name: values[place].cpu() for name, values in flat(made).items()}
                self.store.keep_tensors(self.digests[index], keys[index], rows[index])
        tensors = {name: torch.stack([row[name] for row in rows]).to(self.image.device) for name in rows[0]}
        encoded = method.explainer.rate_distortion.encode(self.image, target)
        explanation = Explanation(encoded, tensors["mask"], tensors["relevance"], tensors.get("signed"))
        return TimedExplanation(explanation, tensors["seconds"], tensors["passes"])

    def _run(self, method: Method, image: Tensor, target: Tensor | None) -> TimedExplanation:
        synchronise(image.device)
        start, passes = time.perf_counter(), self.watch.passes
        explanation = method.explainer.explain(image, target)
        synchronise(image.device)
        seconds = (time.perf_counter() - start) / len(image)
        spent = (self.watch.passes - passes) / len(image)
        return TimedExplanation(
            explanation, image.new_full((len(image),), seconds), image.new_full((len(image),), spent)
        )


def flat(made: TimedExplanation) -> dict[str, Tensor]:
    """All but the reference, which costs one pass to make again."""
    explanation = made.explanation
    tensors = {"mask": explanation.mask, "relevance": explanation.relevance}
    if explanation.signed is not None:
        tensors["signed"] = explanation.signed
    return {**tensors, "seconds": made.seconds, "passes": made.passes}
