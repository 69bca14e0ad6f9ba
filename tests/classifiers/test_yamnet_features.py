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


def overlapped(parts: list[torch.Tensor], hop: int, columns: int) -> torch.Tensor:
    """Means of parts ``(B, channels, n)``, each `hop` columns after the one before, one column at a time."""
    total, count = torch.zeros(*parts[0].shape[:2], columns), torch.zeros(columns)
    for number, part in enumerate(parts):
        for column in range(part.shape[2]):
            total[..., number * hop + column] += part[..., column]
            count[number * hop + column] += 1
    return total / count


def test_features_of_overlapping_patches_are_their_means(network):
    waveform = noise(LENGTHS[2])
    final, (placed,) = network.forward_intermediates(waveform)
    spectrogram = network.log_mel(waveform)
    patches = [spectrogram[:, :, start : start + PATCH] for start in (0, PATCH_HOP, 2 * PATCH_HOP)]
    maps = [network.features[:22](patch).movedim(3, 2).flatten(1, 2) for patch in patches]  # (2, channels bands, 12)
    torch.testing.assert_close(placed, overlapped(maps, 6, 24), rtol=1e-3, atol=1e-4)
    halves = [network.features(patch).mean(3).repeat_interleave(2, 2) for patch in patches]
    expected = overlapped(halves, 3, 12)
    torch.testing.assert_close(network.place_final(final, LENGTHS[2]), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("samples", LENGTHS[1:])
@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_a_click_is_seen_where_it_is(network, samples, place):
    waveform = 0.01 * noise(samples)
    click = waveform.clone()
    click[..., round(place * samples)] = 0.9
    (final, (one,)), (other, (another,)) = network.forward_intermediates(waveform), network.forward_intermediates(click)
    placed = network.place_final(other, samples) - network.place_final(final, samples)
    for change, frames in ((another - one, 6), (placed, 32)):
        strength = change.square().sum((0, 1))
        positions = (torch.arange(len(strength)) + 0.5) / len(strength)
        centre = (strength * positions).sum() / strength.sum()
        assert abs(float(centre) - place) < frames * FRAME / samples


def test_explainers_see_them_and_the_head():
    classifier: Classifier = load_classifier("yamnet", input_size=(1, LENGTHS[0]))
    backbone = Backbone(classifier)
    assert backbone.channels == [2048]
    assert backbone.strides == [1300]
    assert backbone.head_size == 1024
    features = backbone(noise(LENGTHS[0]))
    assert features.embedding is not None
    assert features.embedding.shape == (2, 1024, 3)
    torch.testing.assert_close(features.logits, classifier(noise(LENGTHS[0])))
