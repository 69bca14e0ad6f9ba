"""What a frozen classifier computes anyway: class scores and feature maps from one pass."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amortex.classifiers.classifier import Classifier

FROM_ONE_STRIDE = 4  # maps taken from a network whose maps all have one stride, as those of a ViT


class Features(NamedTuple):
    """Class scores, feature maps from fine to coarse, and the evidence for a class where it is."""

    logits: Tensor  # (B, M)
    maps: tuple[Tensor, ...]  # (B, C_i, h_i, w_i)
    embedding: Tensor | None  # (B, D, h, w): what the classifier's linear head averages
    head: Tensor | None  # (M, D): weights of that head, their mean over the classes taken off


class Backbone(nn.Module):
    """Reads a classifier's feature pyramid (timm's `forward_intermediates`); black boxes have an empty one.

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
        if use_features and hasattr(classifier.model, "forward_intermediates"):
            self.indices = None
            with torch.no_grad():
                probe = torch.full((1, *classifier.input_size), 0.5, device=classifier.mean.device)
                maps = self(probe).maps
                if len({m.shape[2:] for m in maps}) == 1 and len(maps) > FROM_ONE_STRIDE:
                    step = len(maps) / FROM_ONE_STRIDE
                    self.indices = [round(step * (i + 1)) - 1 for i in range(FROM_ONE_STRIDE)]
        with torch.no_grad():
            probe = self(torch.full((1, *classifier.input_size), 0.5, device=classifier.mean.device))
        self.channels = [m.shape[1] for m in probe.maps]
        self.strides = [classifier.input_size[2] / m.shape[3] for m in probe.maps]
        self.head_size = 0 if probe.head is None else probe.head.shape[1]

    def read_head(self) -> None:
        """Keep the centred weights of the classifier's linear head; to be called again when they have changed."""
        network: Any = self.classifier.model
        linear = network.get_classifier() if hasattr(network, "get_classifier") else None
        self.head = linear.weight - linear.weight.mean(0) if isinstance(linear, nn.Linear) else None

    @torch.no_grad()
    def forward(self, image: Tensor) -> Features:
        """Features of images ``(B, C, H, W)`` in [0, 1]."""
        if self.indices == []:
            return Features(self.classifier(image), (), None, None)
        logits, final, maps = self.classifier.forward_intermediates(image, self.indices)
        # of a transformer the tokens of the positions, which follow the others
        size = maps[-1].shape[2:]
        embedding = final if final.ndim == 4 else final[:, -size.numel() :].mT.unflatten(2, size)
        if self.head is None or embedding.shape[1] != self.head.shape[1]:
            return Features(logits, tuple(maps), None, None)
        return Features(logits, tuple(maps), embedding, self.head.to(embedding))


def class_maps(features: Features, target: Tensor, probabilities: Tensor) -> Tensor:
    """Class activation maps ``(B, 2, h, w)``: the linear head's evidence for each image's class, and for its rivals.

    It is the evidence beyond that for the average class. Rivals are all other classes, by their probability: where an
    image speaks for them, it has to be kept, too, once the class is as probable as on the whole image.
    """
    assert features.embedding is not None
    assert features.head is not None
    rivals = probabilities.scatter(1, target[:, None], 0)
    rivals = rivals / rivals.sum(1, keepdim=True).clamp(min=1e-12)
    rows = torch.stack([features.head[target], rivals.to(features.head) @ features.head], 1)
    return torch.einsum("bdhw,bnd->bnhw", features.embedding, rows)


def fit(maps: Tensor, positions: Sequence[int], size: Sequence[int], level: int) -> Tensor:
    """Resize maps that cover an image of `size` to the `positions` (h, w) of a wavelet `level`.

    A level reaches beyond the image where the wavelet is long: the maps are continued there.
    """
    inside = tuple(min(p, -(-n // 2**level)) for p, n in zip(positions, size, strict=True))
    if maps.shape[2:] != inside:
        antialias = maps.shape[2] > inside[0]
        # in float32: not all kernels know bfloat16
        maps = F.interpolate(maps.float(), inside, mode="bilinear", antialias=antialias).to(maps.dtype)
    rows, columns = positions[0] - inside[0], positions[1] - inside[1]
    if rows or columns:
        border = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        maps = F.pad(maps, border, mode="replicate")
    return maps
