"""Feature maps learned from the input, for classifiers that do not show theirs."""

import timm
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from amortex.classifiers.classifier import Classifier
from amortex.core.errors import InputError, first_line


class Encoder(nn.Module):
    """A network of timm's, learned from scratch with the decoder: images ``(B, C, H, W)`` in [0, 1] -> feature maps.

    Arguments:
        name: of a network that timm can take features from.
        classifier: its mean, std and input size hold here, too.

    Raises:
        InputError: the inputs are no images; timm has no such network, or it has no feature maps; or it has batch
            normalisations, whose running statistics would not be those of the averaged weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, classifier: Classifier) -> None:
        super().__init__()
        channels, *size = classifier.input_size
        if len(size) != 2:
            raise InputError(f"{name} cannot be the encoder: timm's networks are for images; leave it out")
        try:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                self.network = timm.create_model(name, features_only=True, in_chans=channels)
        except Exception as error:  # timm raises many types
            raise InputError(f"{name} cannot be the encoder: {first_line(error)[:150]}; try convnext_atto") from error
        if any(isinstance(module, nn.BatchNorm2d | BatchNormAct2d) for module in self.network.modules()):
            raise InputError(f"{name} cannot be the encoder: it has batch normalisations; try convnext_atto")
        mean, std = classifier.mean.cpu().expand(channels, 1, 1), classifier.std.cpu().expand(channels, 1, 1)
        self.register_buffer("mean", mean.clone(), persistent=False)
        self.register_buffer("std", std.clone(), persistent=False)
        try:
            with torch.no_grad():
                maps = self(torch.full((1, channels, *size), 0.5))
        except RuntimeError as error:
            raise InputError(f"{name} cannot be the encoder: images of {size[0]}x{size[1]} are too small") from error
        self.channels = [feature_map.shape[1] for feature_map in maps]
        self.strides = [size[1] / feature_map.shape[3] for feature_map in maps]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network((image - self.mean) / self.std))
