"""Classifiers of sounds from transformers: those that take the waveform itself."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amortex.core.errors import InputError, reason

SECONDS = 5  # of sounds at most, unless another length is asked for
FEWEST_SECONDS = 0.1  # more than the convolutions of such models need
EPSILON = 1e-7  # added to the variance, as Wav2Vec2FeatureExtractor does


def hf_audio(name: str) -> "HuggingFaceAudio":
    """The classifier of a name on the hub or a folder, with its safetensors weights; no code of its own is executed.

    Raises:
        InputError: transformers is not installed; it cannot be loaded, has no safetensors weights or no trained head;
            its feature extractor computes spectrograms, through which no gradients pass.
    """
    try:
        import transformers
    except ImportError as error:
        raise InputError('hf-audio: needs transformers: pip install "amortex[hf]"') from error
    path = str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    try:
        extractor = transformers.AutoFeatureExtractor.from_pretrained(path)
    except Exception as error:  # the hub and its files have many ways to fail
        raise InputError(f"cannot load the feature extractor of {name}: {reason(error)}") from error
    if not isinstance(extractor, transformers.Wav2Vec2FeatureExtractor):
        raise InputError(
            f"{name} computes its features by {type(extractor).__name__}, through which no gradients pass: give a "
            "model of waveforms (Wav2Vec2, HuBERT, WavLM, ...), or wrap it in a module with a front end in torch"
        )
    try:
        model, report = transformers.AutoModelForAudioClassification.from_pretrained(
            path, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # as above
        raise InputError(f"cannot load {name} as an audio classifier in safetensors: {reason(error)}") from error
    if missing := sorted(report["missing_keys"]):
        raise InputError(f"{name} has no weights for {', '.join(missing[:3])}: give a model trained to classify")
    return HuggingFaceAudio(model.float(), extractor.sampling_rate, extractor.do_normalize)


class HuggingFaceAudio(nn.Module):
    """Waveforms ``(B, 1, T)`` in [-1, 1] -> logits ``(B, classes)``.

    Arguments:
        model: of transformers, from waveforms ``(B, T)``.
        sample_rate: in Hz.
        normalise: whether each waveform gets zero mean and unit variance first, as its feature extractor would do it.
    """

    def __init__(self, model: Any, sample_rate: int, normalise: bool) -> None:
        super().__init__()
        self.model, self.normalise, self.num_classes = model, normalise, model.config.num_labels
        several = model.config.problem_type == "multi_label_classification"
        self.pretrained_cfg = {
            "input_size": (1, SECONDS * sample_rate),
            "mean": (0.0,),
            "std": (1.0,),
            "sample_rate": sample_rate,
            "lengths": (round(FEWEST_SECONDS * sample_rate), 1),
            "activation": "sigmoid" if several else "softmax",
            "label_names": dict(model.config.id2label),
        }

    def forward(self, waveform: Tensor) -> Tensor:
        values = waveform[:, 0]
        if self.normalise:
            variance, mean = torch.var_mean(values, -1, correction=0, keepdim=True)
            values = (values - mean) / (variance + EPSILON).sqrt()
        logits: Tensor = self.model(values).logits
        return logits
