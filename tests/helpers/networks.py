"""Small networks for tests that name a classifier by its class path, and a command line that is fast on them."""

import math
import os
import signal
from pathlib import Path

import torch
from torch import Tensor, nn


class TinyNet(nn.Module):
    """A convolutional net; `sharpness` scales its logits without being a weight."""

    def __init__(self, width: int = 4, num_classes: int = 5, sharpness: float = 1.0) -> None:
        super().__init__()
        self.num_classes, self.sharpness = num_classes, sharpness
        self.features = nn.Sequential(nn.Conv2d(3, width, 3, stride=2), nn.Tanh(), nn.AdaptiveAvgPool2d(2))
        self.head = nn.Linear(4 * width, num_classes)
        with torch.no_grad():
            self.head.weight *= 10

    def forward(self, x: Tensor) -> Tensor:
        return self.sharpness * self.head(self.features(x).flatten(1))


class ReluNet(TinyNet):
    """With a ReLU, as guided backpropagation wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.features[1] = nn.ReLU()


class NanOnWhite(TinyNet):
    """Answers NaN on white images."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).masked_fill(x.mean((1, 2, 3))[:, None] > 0.99, torch.nan)


class NanOnNoise(TinyNet):
    """Answers NaN on rough images, as the obfuscated ones are."""

    def forward(self, x: Tensor) -> Tensor:
        roughness = x.diff(dim=-1).abs().mean((1, 2, 3))
        return super().forward(x).masked_fill(roughness[:, None] > 0.2, torch.nan)


class Moody(TinyNet):
    """Batch normalisation and dropout, which behave otherwise in training."""

    def __init__(self) -> None:
        super().__init__()
        self.features.append(nn.BatchNorm2d(4)).append(nn.Dropout(0.9))


class Mortal(TinyNet):
    """Kills the process whose local rank is $MORTAL once the file $MORTAL_SHARD holds something."""

    def forward(self, x: Tensor) -> Tensor:
        if os.environ.get("MORTAL", "nobody") == os.environ.get("LOCAL_RANK"):
            shard = Path(os.environ["MORTAL_SHARD"])
            if shard.exists() and shard.stat().st_size:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


class AnyAxes(nn.Module):
    """A linear map of signals of any size."""

    def __init__(self, size: list[int], num_classes: int = 5) -> None:
        super().__init__()
        self.head = nn.Linear(math.prod(size), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


class EndsInSoftmax(TinyNet):
    """Its outputs are probabilities."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(1)


class Grey(TinyNet):
    """Takes grey images; its arguments do not tell."""

    def __init__(self) -> None:
        super().__init__()
        self.features[0] = nn.Conv2d(1, 4, 3, stride=2)


class Renamed(TinyNet):
    """Has another name for the number of classes."""

    def __init__(self, width: int = 4, classes: int = 5) -> None:
        super().__init__(width, classes)


def tiny_net(num_classes: int = 5) -> TinyNet:
    """A function that builds a network, as torchvision's do."""
    return TinyNet(num_classes=num_classes)


def no_network() -> dict[str, int]:
    """A function that builds something else."""
    return {}


class NoClassifier(nn.Module):
    """Returns its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Broken(nn.Module):
    """Cannot be built."""

    def __init__(self) -> None:
        super().__init__()
        raise KeyError("no such layer")


class ToyMel(nn.Module):
    """A classifier of sound with a front end of 16 frames and 8 bands that can be taken off."""

    def __init__(self, num_classes: int = 4) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.pretrained_cfg = {"input_size": (1, 136), "mean": (0.1,), "std": (0.5,), "sample_rate": 800}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.conv, self.act, self.head = nn.Conv2d(1, 6, 3, 2), nn.ReLU(), nn.Linear(6, num_classes)

    def log_mel(self, waveform: Tensor) -> Tensor:
        frames = waveform.unfold(-1, 16, 8)
        return (torch.fft.rfft(frames).abs()[..., 1:] + 0.01).log()

    def from_log_mel(self, spectrogram: Tensor) -> Tensor:
        return self.head(self.act(self.conv(spectrogram)).mean((2, 3)))

    def forward(self, waveform: Tensor) -> Tensor:
        return self.from_log_mel(self.log_mel(waveform))


class Brightest(nn.Module):
    """The class of the brightest channel."""

    def forward(self, x: Tensor) -> Tensor:
        return 4 * x.mean((2, 3))
