"""YAMNet: a classifier of sounds, 521 classes of AudioSet."""

import math

import torch
from safetensors.torch import load_file
from timm.layers import create_conv2d
from torch import Tensor, nn
from torch.nn import functional as F

from amortex.classifiers.log_mel import BANDS, HOP, SAMPLE_RATE, WINDOW, LogMel
from amortex.core.errors import InputError
from amortex.io.bundled import ASSETS

FOLDER = ASSETS / "yamnet"
NUM_CLASSES = 521
PATCH, PATCH_HOP = 96, 48  # frames
# stride and channels of each separable convolution (MobileNet v1)
SEPARABLE = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5, (2, 1024), (1, 1024))
LAYERS_TO_MAP = 22  # up to the feature map that explainers see: five separable convolutions, 8 frames a column
COLUMNS = 3  # of the final features of a patch
SECONDS = 5  # of sounds, unless another length is asked for


def yamnet(pretrained: bool = True, num_classes: int = NUM_CLASSES) -> "YAMNet":
    """YAMNet, with the bundled weights unless `pretrained` is false.

    Raises:
        InputError: bundled weights of another number of classes than 521.
    """
    network = YAMNet(num_classes)
    if pretrained:
        if num_classes != NUM_CLASSES:
            raise InputError(
                f"yamnet comes with {NUM_CLASSES} classes; a head of {num_classes} would be untrained: "
                "give weights as a file, or leave the number of classes out"
            )
        network.load_state_dict(load_file(FOLDER / "yamnet.safetensors"))  # half precision -> float32
    return network


class YAMNet(nn.Module):
    """Waveforms ``(B, 1, T)`` in [-1, 1] at 16 kHz -> logits ``(B, classes)`` of labels that may occur together.

    The log-mel spectrogram is cut into patches of 0.96 s every 0.48 s. A label's score is the mean over the patches of
    the sigmoid of its logits, and what is returned is the logit of that score. Sounds are padded with zeros to a whole
    number of patches. The batch normalisations of the original are folded into its convolutions.

    Attributes:
        front_end: the log-mel spectrogram.
        features: MobileNet v1, patches ``(N, 1, 96, 64)`` -> ``(N, 1024, 3, 2)``.
        head: linear layer behind the mean over positions.

    References:
        https://github.com/tensorflow/models/tree/master/research/audioset/yamnet
    """

    def __init__(self, num_classes: int = NUM_CLASSES) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.pretrained_cfg = {
            "architecture": "yamnet",
            "input_size": (1, SECONDS * SAMPLE_RATE),
            "mean": (0.0,),
            "std": (1.0,),
            "sample_rate": SAMPLE_RATE,
            "lengths": (padded_length(0), PATCH_HOP * HOP),
            "activation": "sigmoid",
            "label_names": str(FOLDER / "class_names.txt"),
        }
        self.front_end = LogMel()
        self.log_mel_range, self.log_mel_hop = self.front_end.value_range, HOP
        self.log_mel_frequencies = self.front_end.frequencies
        layers, channels = [create_conv2d(1, 32, 3, stride=2, padding="same", bias=True), nn.ReLU()], 32
        for stride, width in SEPARABLE:
            layers += [
                create_conv2d(channels, channels, 3, stride=stride, padding="same", depthwise=True, bias=True),
                nn.ReLU(),
                create_conv2d(channels, width, 1, padding="same", bias=True),
                nn.ReLU(),
            ]
            channels = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, waveform: Tensor) -> Tensor:
        return self.from_log_mel(self.log_mel(waveform))

    def log_mel(self, waveform: Tensor) -> Tensor:
        """The log-mel spectrogram ``(B, 1, frames, 64)`` of the padded waveform; there are ``96 + 48 n`` frames."""
        spectrogram: Tensor = self.front_end(
            F.pad(waveform, (0, padded_length(waveform.shape[-1]) - waveform.shape[-1]))
        )
        return spectrogram

    def from_log_mel(self, spectrogram: Tensor) -> Tensor:
        """Logits of log-mel spectrograms ``(B, 1, frames, 64)``; frames behind the last whole patch are left out."""
        patches, count = self._patches(spectrogram)
        logits: Tensor = self.head(self.features(patches).mean((2, 3)))
        return logit_of_mean(logits.unflatten(0, (-1, count)))

    def forward_intermediates(self, x: Tensor, indices: list[int] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Final features ``(B, 1024, 3 patches)`` of waveforms, and a map ``(B, 2048, columns)`` on their axis.

        The map has a column for 8 frames, and its frequencies are channels. `indices` may leave it out.
        """
        patches, count = self._patches(self.log_mel(x))
        h = self.features[:LAYERS_TO_MAP](patches)
        maps = [_on_time_axis(h, count, x.shape[-1])]
        final = self.features[LAYERS_TO_MAP:](h).mean(3).unflatten(0, (-1, count)).movedim(1, 2).flatten(2)
        return final, [maps[index] for index in (range(len(maps)) if indices is None else indices)]

    def forward_head(self, x: Tensor) -> Tensor:
        """Logits of final features ``(B, 1024, 3 patches)``."""
        patches = x.unflatten(2, (-1, COLUMNS)).mean(3)
        return logit_of_mean(self.head(patches.mT))

    def place_final(self, final: Tensor, samples: int) -> Tensor:
        """Final features ``(B, 1024, 3 patches)`` on the axis of waveforms, ``(B, 1024, columns)``."""
        count = final.shape[2] // COLUMNS
        if count == 1:
            return final
        patches = final.unflatten(2, (count, COLUMNS)).movedim(2, 1).flatten(0, 1)
        halves = patches.repeat_interleave(2, 2)[..., None]  # so that half a patch is a whole number of columns
        return _on_time_axis(halves, count, samples)

    def get_classifier(self) -> nn.Linear:
        """The linear head."""
        return self.head

    def _patches(self, spectrogram: Tensor) -> tuple[Tensor, int]:
        """Patches ``(B patches, 1, 96, 64)`` of log-mel spectrograms, and how many each has."""
        patches = spectrogram.unfold(2, PATCH, PATCH_HOP).movedim(2, 1).mT  # (B, patches, 1, 96, 64)
        flat = patches.flatten(0, 1).to(self.head.weight.dtype).contiguous(memory_format=torch.channels_last)
        return flat, patches.shape[1]

    def place_maps(self, maps: Tensor, size: tuple[int, ...]) -> Tensor:
        """Maps of all patches ``(B patches, h, w)`` on the input: ``(B, frames, 64)``, or ``(B, T)`` for a waveform.

        Patches are interpolated to their 96 frames and 64 bands, and averaged where they overlap. A sample has the mean
        over the bands, interpolated between the centres of frames.
        """
        waveform = len(size) == 1
        frames = 1 + (padded_length(size[0]) - WINDOW) // HOP if waveform else size[0]
        count = 1 + (frames - PATCH) // PATCH_HOP
        patches = F.interpolate(maps[:, None], (PATCH, BANDS), mode="bilinear").reshape(-1, count, PATCH * BANDS).mT

        def at_places(columns: Tensor) -> Tensor:
            return F.fold(columns, (frames, BANDS), (PATCH, BANDS), stride=(PATCH_HOP, 1))[:, 0]

        placed = at_places(patches) / at_places(torch.ones_like(patches)).clamp(min=1)
        if not waveform:
            return placed
        position = ((torch.arange(size[0], device=maps.device) - WINDOW / 2) / HOP).clamp(0, frames - 1)
        below = position.floor().long().clamp(max=frames - 2)
        rows = placed.mean(2)
        return rows[:, below].lerp(rows[:, below + 1], (position - below).to(rows))


def _on_time_axis(maps: Tensor, count: int, samples: int) -> Tensor:
    """Maps ``(B patches, channels, columns, bands)`` of patches -> ``(B, channels * bands, columns)`` of waveforms.

    Patches are averaged where they overlap, by half, and what is beyond the waveform's end is left out.
    """
    columns = maps.shape[2]
    total = columns + (count - 1) * columns // 2
    patches = maps.movedim(3, 2).flatten(1).unflatten(0, (-1, count)).mT  # (B, channels * bands * columns, patches)

    def overlapped(values: Tensor) -> Tensor:
        return F.fold(values, (total, 1), (columns, 1), stride=(columns // 2, 1))[..., 0]

    placed = overlapped(patches) / overlapped(patches.new_ones(1, columns, count))
    return placed[..., : math.ceil(total * samples / padded_length(samples))]


def padded_length(samples: int) -> int:
    """The shortest length of at least so many samples that is a whole number of patches."""
    first, hop = (PATCH - 1) * HOP + WINDOW, PATCH_HOP * HOP
    return first + hop * math.ceil(max(0, samples - first) / hop)


def logit_of_mean(logits: Tensor) -> Tensor:
    """``logit(mean_p sigmoid(logits))`` of ``(B, patches, classes)``, without the overflow of a sigmoid near 0 or 1."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.logsigmoid(logits).logsumexp(1) - F.logsigmoid(-logits).logsumexp(1)
