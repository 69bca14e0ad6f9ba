"""YAMNet: its front end, its scores, and its gradients."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.signal import stft
from torch.nn import functional as F

from amortex.classifiers import yamnet as module
from amortex.classifiers.classifier import Classifier
from amortex.classifiers.loading import load_classifier
from amortex.classifiers.log_mel import LogMel
from amortex.classifiers.yamnet import PATCH, PATCH_HOP, YAMNet, logit_of_mean, padded_length
from amortex.core.errors import InputError
from amortex.core.modalities import MODALITIES
from amortex.rate_distortion.problem import Problem
from helpers.sounds import formula_sounds

HALF_PRECISION = 5e-3  # largest difference of scores by weights that are rounded to half precision
SHORTEST = 15600  # samples of one patch


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_classifier("yamnet")


@pytest.fixture(scope="module")
def network() -> YAMNet:
    return module.yamnet().eval().requires_grad_(False)


def sound(name: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.tensor(formula_sounds()[name], dtype=dtype)[None, None]


def numpy_log_mel(signal: np.ndarray) -> np.ndarray:
    """By scipy's Fourier transforms, and one mel band and one frequency at a time."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = stft(signal, 16000, window, 400, 240, 512, boundary=None, padded=False)[2] * window.sum()
    edges = np.linspace(*(1127 * np.log(1 + np.array([125, 7500]) / 700)), 66)
    mel = np.zeros((64, 257))
    for band in range(64):
        low, centre, high = edges[band : band + 3]
        for bin in range(1, 257):
            pitch = 1127 * np.log(1 + bin * 16000 / 512 / 700)
            if low < pitch < high:
                mel[band, bin] = (pitch - low) / (centre - low) if pitch < centre else (high - pitch) / (high - centre)
    return np.log(mel @ np.abs(frames) + 0.001).T


@pytest.mark.parametrize("name", ["chirp", "clicks", "noise", "silence"])
def test_log_mel_is_that_of_an_independent_implementation(name):
    signal = formula_sounds()[name]
    computed = LogMel().double()(torch.tensor(signal)[None, None])[0, 0]
    expected = numpy_log_mel(signal)
    assert computed.shape == (1 + (len(signal) - 400) // 160, 64)
    torch.testing.assert_close(computed, torch.tensor(expected), rtol=0, atol=5e-4)  # the window is of float32


def test_scores_are_those_of_tensorflow(classifier):
    golden = np.load(Path(__file__).with_name("yamnet_scores.npz"))
    assert set(golden) == {"chirp", "clicks", "hum"}
    for name, expected in golden.items():
        with torch.no_grad():
            scores = classifier.probabilities(classifier(sound(name)))[0]
        torch.testing.assert_close(scores, torch.tensor(expected), rtol=0, atol=HALF_PRECISION)
        assert scores.argmax() == expected.argmax()


@pytest.mark.parametrize(("samples", "patches"), [(1, 1), (5000, 1), (15600, 1), (15601, 2), (23280, 2), (23281, 3)])
def test_sounds_are_padded_to_whole_patches(network, samples, patches):
    assert padded_length(samples) == SHORTEST + (patches - 1) * 7680
    spectrogram = network.log_mel(sound("noise")[..., :samples])
    assert spectrogram.shape == (1, 1, PATCH + (patches - 1) * PATCH_HOP, 64)
    padded = F.pad(sound("noise")[..., :samples], (0, padded_length(samples) - samples))
    torch.testing.assert_close(network(sound("noise")[..., :samples]), network(padded))


def test_scores_are_means_over_patches(network):
    spectrogram = torch.cat([network.log_mel(sound(name)[..., :23280]) for name in ("chirp", "noise")])
    starts = (0, PATCH_HOP)
    each = [network.from_log_mel(spectrogram[:, :, start : start + PATCH]).sigmoid() for start in starts]
    torch.testing.assert_close(network.from_log_mel(spectrogram).sigmoid(), torch.stack(each).mean(0))


def test_the_logit_of_a_mean_does_not_overflow():
    logits = torch.tensor([[[-200.0, 200.0, 1.0], [-200.0, 200.0, -3.0]]])
    expected = logits.double().sigmoid().mean(1).logit()[0, 2].float()
    torch.testing.assert_close(logit_of_mean(logits), torch.tensor([[-200.0, 200.0, expected]]))
    one = torch.linspace(-90, 90, 19).reshape(1, 1, -1)
    torch.testing.assert_close(logit_of_mean(one), one[:, 0])


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    network = YAMNet(3).double().eval().requires_grad_(False)
    waveform = (sound("noise", torch.float64)[..., :15700] + 0.01).requires_grad_()
    direction = torch.randn(waveform.shape, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(network.log_mel(waveform).sin().sum() + network(waveform)[0, 1], waveform)

    def value(step: float) -> float:
        moved = waveform.detach() + step * direction
        return float(network.log_mel(moved).sin().sum() + network(moved)[0, 1])

    step = 1e-7
    slope = (value(step) - value(-step)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["silence", "clicks"])
def test_digital_silence_has_finite_gradients(dtype, name):
    network = module.yamnet().to(dtype).eval().requires_grad_(False)
    waveform = sound(name, dtype).requires_grad_()
    logits = network(waveform)
    (gradient,) = torch.autograd.grad(logits.logsumexp(1).sum(), waveform)
    assert logits.isfinite().all()
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0 or name == "silence"


def test_it_is_loaded_by_its_name_with_all_that_sounds_need(classifier):
    assert (classifier.name, classifier.weights, classifier.num_classes) == ("yamnet", "embedded", 521)
    assert (classifier.activation, classifier.multi_label, classifier.caveats) == ("sigmoid", True, ())
    assert (classifier.input_size, classifier.data_config["sample_rate"]) == ((1, 80000), 16000)
    assert classifier.class_index("Crow") == 112
    assert classifier.class_name(494) == "Silence"
    assert MODALITIES["audio"].classifier == classifier.name
    assert load_classifier("yamnet", input_size=(1, 16000)).input_size == (1, 16000)


def test_weights_may_be_random_or_from_a_file_or_of_other_classes(classifier, tmp_path):
    random = load_classifier("yamnet", "random", num_classes=4)
    assert (random.num_classes, random.class_names) == (4, None)
    file = tmp_path / "four.pth"
    torch.save(module.yamnet(False, 4).state_dict(), file)
    assert load_classifier("yamnet", str(file), num_classes=4).weights == str(file)
    with pytest.raises(InputError, match="521 classes"):
        load_classifier("yamnet", num_classes=4)


def test_the_bundled_weights_are_safetensors_in_half_precision():
    with safe_open(module.FOLDER / "yamnet.safetensors", "pt") as file:
        types = {key: file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
    assert types.keys() == YAMNet().state_dict().keys()
    assert {key.rpartition(".")[2]: kind for key, kind in types.items()} == {"weight": "F16", "bias": "F32"}


def test_a_problem_on_sound_builds(classifier):
    audio = MODALITIES["audio"]
    problem = Problem(
        classifier=audio.classifier, value_range=audio.value_range, wavelet=audio.wavelet, levels=audio.levels
    )
    assert problem.build(classifier).classifier is classifier
    with pytest.raises(InputError, match="timm has no model 'yamnett'; did you mean yamnet"):
        load_classifier("yamnett")
