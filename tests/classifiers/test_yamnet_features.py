"""The feature maps of YAMNet, on the time axis of the waveform."""

import pytest
import torch

from amortex.amortized.backbone import Backbone
from amortex.classifiers.classifier import Classifier
from amortex.classifiers.loading import load_classifier
from amortex.classifiers.yamnet import PATCH, PATCH_HOP, YAMNet, yamnet

FRAME = 160  # samples
LENGTHS = [15600, 20000, 15600 + 2 * 7680, 80000]  # of 1, 2, 3 and 10 patches


@pytest.fixture(scope="module")
def network() -> YAMNet:
    return yamnet().eval().requires_grad_(False)


def noise(samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(2, 1, samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("samples", LENGTHS)
def test_the_head_makes_the_networks_logits_of_the_final_features(network, samples):
    final, _ = network.forward_intermediates(noise(samples))
    torch.testing.assert_close(network.forward_head(final), network(noise(samples)))


def test_maps_of_overlapping_patches_are_their_means(network):
    waveform = noise(LENGTHS[2])
    maps = network.forward_intermediates(waveform)[1]
    spectrogram = network.log_mel(waveform)
    for stride, placed, layers in zip((8, 16), maps, (22, 46), strict=False):
        total = torch.zeros(2, placed.shape[2], placed.shape[1])
        count = torch.zeros(placed.shape[2])
        for start in (0, PATCH_HOP, 2 * PATCH_HOP):
            patch = network.features[:layers](spectrogram[:, :, start : start + PATCH])  # (2, C, columns, bands)
            for column in range(PATCH // stride):
                place = start // stride + column
                total[:, place] += patch[:, :, column].flatten(1)
                count[place] += 1
        torch.testing.assert_close(placed, (total / count[:, None]).mT, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("samples", LENGTHS[1:])
@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_a_click_is_seen_where_it_is(network, samples, place):
    waveform = 0.01 * noise(samples)
    click = waveform.clone()
    click[..., round(place * samples)] = 0.9
    (final, maps), (other, others) = network.forward_intermediates(waveform), network.forward_intermediates(click)
    for before, after in zip((*maps, final), (*others, other), strict=True):
        change = (after - before).square().sum((0, 1))
        positions = (torch.arange(len(change)) + 0.5) / len(change)
        centre = (change * positions).sum() / change.sum()
        assert abs(float(centre) - place) < 32 * FRAME / samples  # no more than a column of the coarsest map


def test_explainers_see_them_and_the_head():
    classifier: Classifier = load_classifier("yamnet", input_size=(1, LENGTHS[0]))
    backbone = Backbone(classifier)
    assert backbone.channels == [2048] * 3
    assert backbone.strides == [1300, 2600, 2600]
    assert backbone.head_size == 1024
    features = backbone(noise(LENGTHS[0]))
    assert features.embedding is not None
    assert features.embedding.shape == (2, 1024, 3)
    torch.testing.assert_close(features.logits, classifier(noise(LENGTHS[0])))
