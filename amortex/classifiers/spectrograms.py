"""Classifiers of sound behind their front end: the log-mel spectrogram is what is explained, as an image is."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from amortex.classifiers.classifier import Classifier
from amortex.classifiers.outputs import compute_dtype
from amortex.core.errors import InputError
from amortex.io.sounds import sample_rate

HEADROOM = 0.1  # of the range between silence and the loudest probe, where a network does not know its range


@runtime_checkable
class SplitsFrontEnd(Protocol):
    """A network on waveforms ``(B, 1, T)`` that computes ``from_log_mel(log_mel(waveform))``."""

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Waveforms ``(B, 1, T)`` -> log-mel spectrograms ``(B, 1, frames, mels)``."""

    def from_log_mel(self, spectrogram: Tensor) -> Tensor:
        """Log-mel spectrograms ``(B, 1, frames, mels)`` -> logits ``(B, M)``."""


class FrontEnd(nn.Module):
    """Waveforms ``(B, 1, T)`` in [-1, 1] -> log-mel spectrograms ``(B, 1, frames, mels)`` from 0 (silence) to 1.

    The scale belongs to the network, not to the sound: 1 is the network's `log_mel_range`, or for a network without
    such an attribute a tenth above what full-scale noise and tones reach. Louder cells are clipped to it.

    Attributes:
        frame_seconds: from one frame to the next, by the network's `log_mel_hop` in samples; None without that.
        frequencies: centres of the bands in Hz, which the network has as `log_mel_frequencies`; None without that.

    Raises:
        InputError: when called, values outside of [-1, 1].
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        known: tuple[float, float] | None = getattr(classifier.model, "log_mel_range", None)
        self.low, self.high = self._measured() if known is None else known
        hop: int | None = getattr(classifier.model, "log_mel_hop", None)
        self.frame_seconds = None if hop is None else hop / sample_rate(classifier.data_config)
        self.frequencies: Sequence[float] | None = getattr(classifier.model, "log_mel_frequencies", None)

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> Tensor:
        if not bool((waveform.abs() <= 1).all()):
            raise InputError("sounds have values in [-1, 1], and these have others: divide samples of 16 bit by 32768")
        return ((self._log_mel(waveform) - self.low) / (self.high - self.low)).clamp(0, 1)

    def _log_mel(self, waveform: Tensor) -> Tensor:
        model: Any = self.classifier.model
        spectrogram: Tensor = model.log_mel(self.classifier.normalise(waveform).to(compute_dtype(model)))
        return spectrogram.to(torch.promote_types(waveform.dtype, torch.float32))

    @torch.no_grad()
    def _measured(self) -> tuple[float, float]:
        """The least of silence, and above the most of white noise and of a sweep through all frequencies."""
        length = self.classifier.input_size[-1]
        generator = torch.Generator().manual_seed(0)
        noise = torch.randint(0, 2, (length,), generator=generator) * 2.0 - 1
        sweep = torch.linspace(0, torch.pi, length, dtype=torch.float64).cumsum(0).sin().float()
        probes = torch.stack([torch.zeros(length), noise, sweep])[:, None].to(self.classifier.mean.device)
        silence, *loud = self._log_mel(probes)
        low = float(silence.min())
        return low, low + (1 + HEADROOM) * (max(float(probe.max()) for probe in loud) - low)


class BehindFrontEnd(nn.Module):
    """What a network makes of its log-mel spectrogram, ``(B, 1, frames, mels)`` -> logits ``(B, M)``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        if hasattr(network, "place_maps"):
            self.place_maps = network.place_maps

    def forward(self, spectrogram: Tensor) -> Tensor:
        network: Any = self.network
        logits: Tensor = network.from_log_mel(spectrogram)
        return logits


def on_spectrograms(classifier: Classifier) -> Classifier:
    """The classifier of log-mel spectrograms ``(B, 1, frames, mels)`` in [0, 1] inside a classifier of waveforms.

    Its `front_end` makes them of waveforms, and its `signal_config` says which waveforms. A classifier of spectrograms
    is returned as it is.

    Raises:
        InputError: it is no classifier of sound, or its network has no `log_mel` and `from_log_mel`, or frequencies
            of other bands.
    """
    if classifier.data_config.get("domain") == "mel":
        return classifier
    if len(classifier.input_size) != 2:
        axes = len(classifier.input_size) - 1
        raise InputError(f"the mel domain is of sound, and {classifier.name} takes signals with {axes} axes")
    if not isinstance(classifier.model, SplitsFrontEnd):
        raise InputError(
            f"{classifier.name} cannot be explained in the mel domain, since it has no methods log_mel and "
            "from_log_mel: choose the domain waveform"
        )
    front_end = FrontEnd(classifier)
    waveform = torch.zeros(1, *classifier.input_size, device=classifier.mean.device)
    size = tuple(front_end(waveform).shape[1:])
    if front_end.frequencies is not None and (
        len(front_end.frequencies) != size[-1] or sorted(front_end.frequencies) != list(front_end.frequencies)
    ):
        raise InputError(
            f"log_mel_frequencies of {classifier.name} must be the centres of its {size[-1]} bands in Hz, rising"
        )
    # what the network sees is spectrogram * (high - low) + low
    span = front_end.high - front_end.low
    config = {
        "input_size": size, "mean": (-front_end.low / span,), "std": (1 / span,),
        "domain": "mel",
    }  # fmt: skip
    behind = Classifier(
        BehindFrontEnd(classifier.model).cpu(), config, classifier.name, classifier.weights,
        classifier.class_names, classifier.model_args, classifier.activation,
    )  # fmt: skip
    behind.front_end, behind.signal_config = front_end.eval(), classifier.data_config
    return behind.to(waveform.device)
