"""An explainer that takes photographs as people have them, and returns explanations that can be shown and saved."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from amortex.app.checks import check_photographs
from amortex.classifiers.classifier import Classifier
from amortex.core.errors import InputError
from amortex.explainers.base import Explainer
from amortex.explaining.batch import Request
from amortex.explaining.notebook import NotebookResult
from amortex.explaining.results import explain_timed
from amortex.io.images import Photograph, Preprocess, Source

Array = NDArray[Any]
Images = Tensor | Photograph | Array | Sequence[Photograph | Array] | Sequence[Tensor]
Target = int | str | Sequence[int | str] | Tensor | Array | None

ACCEPTED = (
    "images are paths, PIL images, contents of image files, arrays (H, W, 3) of bytes or floats in [0, 1], or tensors"
)


class LoadedExplainer:
    """What `load_explainer` returns.

    Images are a tensor ``(B, C, H, W)`` with pixels in [0, 1], or a list of tensors ``(C, H, W)``; or a path, a PIL
    image, the bytes of an image file, an array ``(H, W, 3)`` (red, green, blue) of bytes or of floats in [0, 1], which
    are rounded to bytes, or a list of these, which are resized and cropped for the classifier. Targets are a class
    index or name for all images, or one for each; None means the predicted classes.

    Arguments:
        explainer: explains tensors.
        method: its name, as written into outputs.
    """

    def __init__(self, explainer: Explainer, method: str) -> None:
        self.explainer, self.method = explainer, method

    @property
    def classifier(self) -> Classifier:
        """The classifier that is explained: frozen, on pixels in [0, 1]."""
        return self.explainer.rate_distortion.classifier

    def explain(self, images: Images, target: Target = None) -> NotebookResult:
        """Explain images, all at once.

        Returns:
            Explanations in the order of the images: a notebook shows their panels, ``certificate()`` measures them,
            ``save(folder)`` writes them. ``mask`` is ``(B, k)`` in [0, 1].

        Raises:
            InputError: an image cannot be read or has the wrong shape or pixels outside [0, 1], or there is no such
                class.
        """
        pixels, sources = self._read(images)
        classes = self._classes(target, len(pixels))
        explainer = self.explainer if classes is None else self.explainer.for_target()
        provenance = Request(explainer, self.method).settings()
        if classes is not None:
            indices = classes.tolist()
            provenance["asked_target"] = indices[0] if len(set(indices)) == 1 else indices
        return explain_timed(NotebookResult, explainer, provenance, sources, pixels, classes)

    def attribute(self, images: Images, target: Target = None) -> Tensor:
        """Captum's signature: a non-negative map of relevance, ``(B, C, H, W)``; all channels are equal.

        Raises:
            InputError: as `explain`.
        """
        pixels, _ = self._read(images)
        classes = self._classes(target, len(pixels))
        return (self.explainer if classes is None else self.explainer.for_target()).attribute(pixels, classes)

    def _read(self, images: Images) -> tuple[Tensor, list[Source]]:
        device = self.classifier.mean.device
        single = isinstance(images, Photograph) or self._is_picture(images)
        if not single and isinstance(images, np.ndarray):
            images = torch.from_numpy(images)
        if not isinstance(images, Tensor):
            photographs: list[Any] = [images] if single else _listed(images)
            if not all(isinstance(photograph, Tensor) for photograph in photographs):
                pixels, sources = self._preprocessed(photographs)
                return pixels.to(device), sources
            images = _stacked(photographs)
        channels, *size = self.classifier.input_size
        if images.ndim != 2 + len(size) or not len(images) or images.shape[1] != channels:
            axes = {1: "T", 2: "H, W", 3: "D, H, W"}[len(size)]
            hint = ": give image[None]" if images.ndim == 1 + len(size) and images.shape[0] == channels else ""
            hint = ": give a list of its pictures" if images.ndim == 4 and images.shape[3] in (3, 4) else hint
            raise InputError(f"images must be a tensor (B, {channels}, {axes}), not {_described(images)}{hint}")
        if not images.is_floating_point():
            raise InputError(f"images must be floats in [0, 1], not {images.dtype}: divide bytes by 255")
        images = images.float()
        return images.to(device), [_source_by_content(image) for image in images]

    def _preprocessed(self, photographs: Sequence[Any]) -> tuple[Tensor, list[Source]]:
        """Pixels of photographs that are resized and cropped, and what their results are named after."""
        preprocess, pixels, sources = Preprocess(self.classifier.data_config), [], []
        check_photographs(self.explainer.rate_distortion.value_range)
        for photograph in photographs:
            photograph = Image.fromarray(_as_bytes(photograph)) if self._is_picture(photograph) else photograph
            if isinstance(photograph, Image.Image):
                pixels.append(preprocess(photograph))
            elif isinstance(photograph, str | Path | bytes):
                pixels.append(preprocess.load(photograph))
            else:
                hint = ": of (image, label) pairs, give the images" if isinstance(photograph, int | tuple) else ""
                hint = ": a list holds tensors alone, or none" if isinstance(photograph, Tensor) else hint
                raise InputError(f"{ACCEPTED}, not {_described(photograph)}{hint}")
            file = isinstance(photograph, str | Path)
            sources.append(
                Source(Path(photograph), Path(Path(photograph).name)) if file else _source_by_content(pixels[-1])
            )
        preprocess.warn_of_small_images()
        return torch.stack(pixels), sources

    def _is_picture(self, images: Any) -> bool:
        """Whether this is an array as image libraries have them: grey, ``(H, W, 3)`` or ``(H, W, 4)``.

        Arrays of floats may be other signals, or have their channels first.
        """
        if not isinstance(images, np.ndarray) or not (images.ndim == 2 or images.shape[2:] in ((3,), (4,))):
            return False
        floats = np.issubdtype(images.dtype, np.floating) and len(self.classifier.input_size) == 3
        return images.dtype == np.uint8 or (floats and images.shape[0] not in (1, 3))

    def _classes(self, target: Target, count: int) -> Tensor | None:
        if target is None:
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
            raise InputError(f"{len(targets)} targets were given for {count} images: give one, or one for each")
        return torch.tensor([self.classifier.class_index(name) for name in targets], device=self.classifier.mean.device)

    def __repr__(self) -> str:
        return f"{self.method}: {self.explainer}"


def _as_bytes(picture: Array) -> Array:
    """A picture of bytes, or of floats; raises InputError for floats that are not in [0, 1]."""
    if picture.dtype == np.uint8:
        return picture
    if not ((picture >= 0) & (picture <= 1)).all():
        raise InputError(f"a picture of floats has values in [0, 1], not from {picture.min():g} to {picture.max():g}")
    return (255 * picture).round().astype(np.uint8)


def _described(images: Any) -> str:
    """What was given instead of images."""
    if isinstance(images, Tensor | np.ndarray):
        return f"{tuple(images.shape)} of {str(images.dtype).removeprefix('torch.')}"
    return type(images).__name__


def _listed(images: Any) -> list[Any]:
    """The images of a list; raises InputError for what is none, or empty."""
    if not isinstance(images, Sequence):
        raise InputError(f"{ACCEPTED}, not {type(images).__name__}")
    if not images:
        raise InputError("there are no images to explain")
    return list(images)


def _stacked(images: Sequence[Tensor]) -> Tensor:
    """Tensors ``(C, *size)`` as one; raises InputError where their shapes differ."""
    shapes = list(dict.fromkeys(tuple(image.shape) for image in images))
    if len(shapes) > 1:
        raise InputError(f"tensors of one list need one shape, not {shapes[0]} and {shapes[1]}: resize them")
    return torch.stack([image.to(images[0]) for image in images])


def _source_by_content(image: Tensor) -> Source:
    """A name for an image without a file: by its content, so that others do not take its place in a folder."""
    content = image.detach().cpu().contiguous().numpy().tobytes()
    path = Path(f"image-{hashlib.blake2b(content, digest_size=8).hexdigest()}")
    return Source(path, path)
