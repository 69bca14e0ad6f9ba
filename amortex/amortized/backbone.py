"""What a frozen classifier computes anyway: class scores and feature maps from one pass."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amortex.classifiers.classifier import Classifier
from amortex.core.nd import resize

MAPS_OF_ONE_STRIDE = 4  # how many are used of a network whose maps all have the same stride, such as a ViT


class Features(NamedTuple):
    """Class scores, feature maps from fine to coarse, and the evidence for a class at each position."""

    logits: Tensor  # (B, M)
    maps: tuple[Tensor, ...]  # (B, C_i, *positions_i)
    embedding: Tensor | None  # (B, D, *positions): what the classifier's linear head averages
    head: Tensor | None  # (M, D): weights of that head, their mean over the classes taken off


class Backbone(nn.Module):
    """Reads a classifier's feature pyramid (timm's `forward_intermediates`); black boxes have an empty one.

    A network whose final features do not lie on the input's axes, such as those of overlapping patches, puts them there
    by ``place_final(final, length)``.

    Arguments:
        classifier: any classifier; it stays as it is.
        use_features: if False, the classifier is treated as a black box.
    """

    head: Tensor | None

    def __init__(self, classifier: Classifier, use_features: bool = True) -> None:
        super().__init__()
        self.classifier = classifier
        self.register_buffer("head", None, persistent=False)
        self.read_head()
        self.indices: list[int] | None = []
        grey = torch.full((1, *classifier.input_size), 0.5, device=classifier.mean.device)
        if use_features and hasattr(classifier.model, "forward_intermediates"):
            self.indices = None
        features = self(grey)
        sizes = [feature_map.shape[2:] for feature_map in features.maps]
        if len(set(sizes)) == 1 and len(sizes) > MAPS_OF_ONE_STRIDE:
            step = len(sizes) / MAPS_OF_ONE_STRIDE
            self.indices = [round(step * (i + 1)) - 1 for i in range(MAPS_OF_ONE_STRIDE)]
            features = self(grey)
        self.channels = [feature_map.shape[1] for feature_map in features.maps]
        self.strides = [classifier.input_size[-1] / feature_map.shape[-1] for feature_map in features.maps]
        self.head_size = 0 if features.head is None else features.head.shape[1]

    def read_head(self) -> None:
        """Keep the centred weights of the classifier's linear head. Call it again when they have changed."""
        network: Any = self.classifier.model
        linear = network.get_classifier() if hasattr(network, "get_classifier") else None
        if not isinstance(linear, nn.Linear):
            self.head = None
            return
        weight = torch.cat([-linear.weight, linear.weight]) / 2 if self.classifier.binary else linear.weight
        self.head = weight - weight.mean(0)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Features:
        """Features of inputs ``(B, C, *size)``."""
        if self.indices == []:
            return Features(self.classifier(image), (), None, None)
        logits, final, maps = self.classifier.forward_intermediates(image, self.indices)
        # of a transformer the tokens of the positions, which follow the others
        size = maps[-1].shape[2:]
        embedding = final if final.ndim == image.ndim else final[:, -size.numel() :].mT.unflatten(2, size)
        network: Any = self.classifier.model
        if hasattr(network, "place_final"):
            embedding = network.place_final(embedding, image.shape[-1])
        if self.head is None or embedding.shape[1] != self.head.shape[1]:
            return Features(logits, tuple(maps), None, None)
        return Features(logits, tuple(maps), embedding, self.head.to(embedding))


def class_maps(features: Features, target: Tensor, probabilities: Tensor) -> Tensor:
    """Class activation maps ``(B, 2, *positions)``: the linear head's evidence for each input's class, and for rivals.

    Evidence counts beyond that for the average class. Rivals are all other classes, weighted by their probability.
    Once the class is as probable as on the whole input, evidence for its rivals has to be kept, too.
    """
    assert features.embedding is not None
    assert features.head is not None
    rivals = probabilities.scatter(1, target[:, None], 0)
    rivals = rivals / rivals.sum(1, keepdim=True).clamp(min=1e-12)
    rows = torch.stack([features.head[target], rivals.to(features.head) @ features.head], 1)
    return torch.einsum("bd...,bnd->bn...", features.embedding, rows)


def fit(maps: Tensor, positions: Sequence[int], size: Sequence[int], level: int) -> Tensor:
    """Resize maps ``(B, n, ...)`` that cover inputs of `size` to the `positions` of a wavelet `level`.

    A level reaches beyond the border where the wavelet is long: there the maps repeat their border.
    """
    inside = tuple(min(count, -(-length // 2**level)) for count, length in zip(positions, size, strict=True))
    if maps.shape[2:] != inside:
        maps = resize(maps, inside)
    border: list[int] = []  # F.pad begins with the last axis
    for count, covered in zip(reversed(positions), reversed(inside), strict=True):
        border += [(count - covered) // 2, count - covered - (count - covered) // 2]
    return F.pad(maps, border, mode="replicate") if any(border) else maps
