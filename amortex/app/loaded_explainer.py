"""An explainer of images, sounds and volumes as people have them; its results can be shown and saved."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amortex.app.given_signals import Array, Signals, read_signals
from amortex.classifiers.classifier import Classifier
from amortex.core.catalog import load
from amortex.core.errors import InputError
from amortex.core.modalities import modality_of
from amortex.explainers.base import Explainer, OnStep
from amortex.explaining.batch import Request
from amortex.explaining.notebook import NotebookResult
from amortex.explaining.results import explain_timed

Target = int | str | Sequence[int | str] | Tensor | Array | None


class LoadedExplainer:
    """What `load_explainer` returns.

    Signals are a tensor ``(B, C, *size)`` in the range of the classifier, or a list of tensors ``(C, *size)``; or
    files, open binary files or their bytes, or arrays, one or a list of them, which are fitted to the classifier:

    - Images are also PIL images. Arrays are ``(H, W, 3)`` (red, green, blue), of bytes or of floats in [0, 1], which
      are rounded to bytes. All are resized and cropped.
    - Arrays of sound are ``(T)`` or ``(C, T)`` at the classifier's rate, of floats in [-1, 1] or integers of 16 or 32
      bit. See `SoundReader`.
    - Arrays of volumes are ``(D, H, W)`` or ``(C, D, H, W)``. See `VolumeReader`.

    Targets are a class index or name for all signals, or one for each; None or ``auto`` means the predicted classes.

    Arguments:
        explainer: explains tensors.
        method: its name, as written into outputs.
    """

    def __init__(self, explainer: Explainer, method: str) -> None:
        self.explainer, self.method = explainer, method

    @property
    def classifier(self) -> Classifier:
        """The classifier that is explained: frozen, on signals as they are."""
        return self.explainer.rate_distortion.classifier

    def explain(self, images: Signals, target: Target = None, on_step: OnStep | None = None) -> NotebookResult:
        """Explain images, sounds or volumes, all at once.

        Arguments:
            images: see the class.
            target: see the class.
            on_step: called after each step of the method with the number of steps and the masks ``(B, k)`` so far.

        Returns:
            Explanations in the order of the inputs: a notebook shows their panels, ``certificate()`` measures them,
            ``save(folder)`` writes them. ``mask`` is ``(B, k)`` in [0, 1].

        Raises:
            InputError: an input cannot be read, or has the wrong shape or values out of range; there is no such class.
        """
        signals, sources = read_signals(images, self.explainer.rate_distortion)
        classes = self._classes(target, len(signals))
        explainer = self.explainer if classes is None else self.explainer.for_target()
        provenance = Request(explainer, self.method).settings()
        if classes is not None:
            indices = classes.tolist()
            provenance["asked_target"] = indices[0] if len(set(indices)) == 1 else indices
        return explain_timed(NotebookResult, explainer, provenance, sources, signals, classes, on_step)

    def attribute(self, images: Signals, target: Target = None) -> Tensor:
        """Captum's signature: a non-negative map of relevance, ``(B, C, *size)``; all channels are equal.

        Relevance is what `explain` calls importance, summed over the bands that reach a place. So 1 is one coefficient
        there that is kept in full. Maps are not normalised, and say nothing of how good the mask is: `explain` warns.

        Raises:
            InputError: as `explain`.
        """
        signals, _ = read_signals(images, self.explainer.rate_distortion)
        classes = self._classes(target, len(signals))
        return (self.explainer if classes is None else self.explainer.for_target()).attribute(signals, classes)

    def page(self, images: Signals | None = None, port: int = 0) -> Any:
        """Open the page that plays with explanations of this classifier, served by a thread of this process.

        Arguments:
            images: further signals that it offers, as `explain` takes them.
            port: to listen at; by default a free one.

        Returns:
            Its address as text; in a notebook, a frame that shows it.

        Raises:
            InputError: starlette or uvicorn is missing; an input cannot be read; the port is in use.
        """
        return load("amortex.page.notebook:open_page")(self, images, port)

    def _classes(self, target: Target, count: int) -> Tensor | None:
        if target is None or (isinstance(target, str) and target == "auto"):
            return None
        if isinstance(target, Tensor | np.ndarray):
            targets = target.reshape(-1).tolist()
        else:
            given: Any = target
            single = isinstance(given, str | bytes | Set | Mapping) or not isinstance(given, Iterable)
            listed = [given] if single else given
            targets = [name.item() if isinstance(name, Tensor | np.generic) else name for name in listed]
        targets = targets * count if len(targets) == 1 else targets
        if len(targets) != count:
            noun = modality_of(len(self.classifier.signal_config["input_size"]) - 1).noun
            raise InputError(f"{len(targets)} targets were given for {count} {noun}s: give one, or one for each")
        return torch.tensor([self.classifier.class_index(name) for name in targets], device=self.classifier.mean.device)

    def __repr__(self) -> str:
        return f"{self.method}: {self.explainer}"
