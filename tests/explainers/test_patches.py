"""Grad-CAM of networks that see their input in overlapping patches."""

import pytest
import torch
from torch.nn import functional as F

from amortex.classifiers.loading import load_classifier
from amortex.classifiers.log_mel import HOP, WINDOW
from amortex.classifiers.spectrograms import on_spectrograms
from amortex.classifiers.yamnet import PATCH, PATCH_HOP, YAMNet, yamnet
from amortex.explainers import build_explainer
from amortex.explainers.modified_backprop import last_maps
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.pixel import Pixel

SAMPLES = 15600 + PATCH_HOP * HOP  # of two patches


@pytest.fixture(scope="module")
def classifier():
    return load_classifier(yamnet(pretrained=False, num_classes=5), input_size=(1, SAMPLES))


@pytest.fixture(scope="module")
def sound():
    return 0.2 * torch.randn(1, 1, SAMPLES, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)


def test_patches_are_placed_by_brute_force():
    maps = torch.rand(4, 3, 2, generator=torch.Generator().manual_seed(1))  # two sounds of two patches
    placed = YAMNet(5).place_maps(maps, (PATCH + PATCH_HOP, 64))
    patches = F.interpolate(maps[:, None], (PATCH, 64), mode="bilinear")[:, 0]
    for sound in range(2):
        total, count = torch.zeros(PATCH + PATCH_HOP, 64), torch.zeros(PATCH + PATCH_HOP, 1)
        for number in range(2):
            frames = slice(number * PATCH_HOP, number * PATCH_HOP + PATCH)
            total[frames] += patches[2 * sound + number]
            count[frames] += 1
        torch.testing.assert_close(placed[sound], total / count)


def test_samples_have_the_value_of_the_frame_that_they_are_the_centre_of():
    maps = torch.rand(2, 3, 2, generator=torch.Generator().manual_seed(2))
    rows = YAMNet(5).place_maps(maps, (PATCH + PATCH_HOP, 64)).mean(2)[0]
    samples = YAMNet(5).place_maps(maps, (SAMPLES,))[0]
    assert samples.shape == (SAMPLES,)
    centres = torch.arange(len(rows)) * HOP + WINDOW // 2
    torch.testing.assert_close(samples[centres], rows)
    assert YAMNet(5).place_maps(maps, (SAMPLES - 100,)).shape == (1, SAMPLES - 100)  # padded to whole patches


@pytest.mark.parametrize("name", ["gradcam", "gradcam_pp"])
def test_gradcam_of_sounds_and_of_their_spectrograms_agree(name, classifier, sound):
    waveform = build_explainer(name, RateDistortion(classifier, Pixel(), value_range=(-1, 1))).explain(sound)
    behind = on_spectrograms(classifier)
    mel = build_explainer(name, RateDistortion(behind, Pixel())).explain(behind.front_end(sound))
    assert waveform.relevance.shape == (1, SAMPLES)
    rows = mel.relevance.unflatten(1, (PATCH + PATCH_HOP, 64)).mean(2)
    centres = torch.arange(rows.shape[1]) * HOP + WINDOW // 2
    assert rows.max() > 0
    torch.testing.assert_close(waveform.relevance[:, centres], rows, rtol=1e-2, atol=1e-3 * float(rows.max()))


def test_maps_are_those_of_each_patch(classifier, sound):
    target = torch.tensor([1])
    maps, gradient = last_maps(classifier, sound, target)
    assert maps.shape == gradient.shape == (2, 1024, 3, 2)
    network = classifier.model
    patches = network.log_mel(sound).unfold(2, PATCH, PATCH_HOP).movedim(2, 1)[0].mT
    torch.testing.assert_close(maps, network.features(patches), rtol=1e-3, atol=1e-5)
