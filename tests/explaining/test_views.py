"""Panels of sounds and volumes: what they show, and in which units."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amortex.explainers.baselines import Ordering
from amortex.explaining import figures
from amortex.explaining.batch import Request
from amortex.explaining.notebook import NotebookResult
from amortex.explaining.results import explain_timed
from amortex.io.finding import Source
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.polar import Polar
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier
from helpers.networks import AnyAxes

RATE = 1000
SIZES = {1: (1, RATE), 3: (1, 8, 9, 10)}


def result_of(signal, transform, rate=0.2):
    """One signal ``(C, *size)`` by its coefficients of largest energy."""
    classifier = build_classifier(AnyAxes(list(signal.shape)), signal.shape, "linear")
    classifier.data_config["sample_rate"] = RATE
    rd = RateDistortion(classifier, transform, value_range=(-1, 1) if signal.ndim == 2 else (0, 1))
    request = Request(Ordering(rd, "magnitude", rate=rate), "magnitude")
    result = explain_timed(
        NotebookResult, request.explainer, request.settings(), [Source(Path("x"), Path("x"))], signal[None]
    )
    result.certificate(4)
    return result


def tone(hertz):
    return (0.5 * torch.sin(2 * torch.pi * hertz * torch.arange(RATE) / RATE))[None]


def axes_of(result):
    return {axis.get_title(): axis for axis in result.panel().axes}


def test_a_tone_is_shown_at_its_frequency_and_in_its_band():
    result = result_of(tone(180), Wavelet("db6", 3, dims=1), rate=0.05)
    axes = axes_of(result)
    assert [axis.get_title() for axis in result.panel().axes][:6] == [
        "Sound", "Sound: spectrogram (80 dB)", "Mask over bands", "Kept", "Kept: spectrogram (80 dB)",
        "Relevance per band (%)",
    ]  # fmt: skip
    assert axes["Sound"].get_xlim() == (0, 1)
    (image,) = axes["Sound: spectrogram (80 dB)"].get_images()
    left, right, low, high = image.get_extent()
    assert (left, right, low, high) == (0, 1, 0, RATE / 2000)
    loudest = int(np.asarray(image.get_array()).mean(1).argmax()) / (len(image.get_array()) - 1) * RATE / 2
    assert loudest == pytest.approx(180, abs=25)  # a window of 25 ms has bins of 40 Hz
    (mask,) = axes["Mask over bands"].get_images()
    band = int(np.asarray(mask.get_array()).mean(1).argmax())
    labels = [label.get_text() for label in axes["Mask over bands"].get_yticklabels()]
    assert labels == ["62.5", "125", "250", "500"]
    assert labels[band - 1 : band + 1] == ["125", "250"]
    shares = {
        label.get_text(): patch.get_width()
        for label, patch in zip(
            axes["Relevance per band (%)"].get_yticklabels(), axes["Relevance per band (%)"].patches, strict=True
        )
    }
    assert list(shares) == ["0-62.5 Hz", "62.5-125 Hz", "125-250 Hz", "250-500 Hz"]
    assert max(shares, key=shares.get) == "125-250 Hz"


@pytest.mark.parametrize(
    ("transform", "titles"),
    [
        (Pixel(), {"Mask over samples", "Relevance (% of entries)"}),
        (Fourier(3), {"Mask over frequencies", "Relevance per band (%)"}),
        (Polar(3), {"Mask over frequencies", "Relevance per band (%)"}),
    ],
)
def test_other_masks_of_sounds_are_shown_over_what_they_are_over(transform, titles):
    assert titles <= axes_of(result_of(tone(50), transform)).keys()


def test_masks_of_magnitudes_and_of_phases_are_two_lines():
    result = result_of(tone(50), Polar(3))
    axis = axes_of(result)["Mask over frequencies"]
    magnitude, phase = (line.get_ydata() for line in axis.get_lines())
    np.testing.assert_array_equal(np.concatenate([magnitude, phase]), result.mask[0])
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["magnitude", "phase"]


def test_silence_has_a_panel_without_warnings(recwarn):
    axes_of(result_of(torch.zeros(1, RATE), Wavelet("haar", 3, dims=1)))
    package = Path(figures.__file__).parents[1]
    assert not [warning for warning in recwarn if Path(warning.filename).is_relative_to(package)]


def test_the_middle_and_the_maximum_of_a_volume_are_shown():
    volume = torch.zeros(1, 8, 9, 10)
    volume[0, 4, 2, 3], volume[0, 1, 6, 7] = 1, 0.5
    axes = axes_of(result_of(volume, Wavelet("haar", 2, dims=3), rate=1.0))
    for kind in ("Volume", "Kept"):
        shown = {name: np.asarray(axis.get_images()[0].get_array()) for name, axis in axes.items() if kind in name}
        assert len(shown) == 6
        np.testing.assert_allclose(shown[f"{kind}: mid depth"], volume[0, 4], atol=1e-6)
        np.testing.assert_allclose(shown[f"{kind}: mid width"], volume[0, :, :, 5], atol=1e-6)
        np.testing.assert_allclose(shown[f"{kind}: max over height"], volume[0].amax(1), atol=1e-6)
    assert {"Mask: above 4 voxels", "Mask: 4 voxels", "Mask: 2 voxels"} <= axes.keys()


@pytest.mark.parametrize("transform", [Pixel(), Fourier(2), Polar(2)])
def test_other_masks_of_volumes_have_panels(transform):
    assert "Volume: mid depth" in axes_of(result_of(torch.rand(1, 8, 8, 8), transform))
