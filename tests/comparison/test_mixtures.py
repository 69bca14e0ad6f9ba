"""Signals with noise or another signal in them: energies, ranges, and partners that belong to signals."""

import pytest
import torch
from torch import nn

from amortex.comparison.mixtures import Partners, overlapped, with_white_noise
from amortex.core.errors import InputError
from helpers.classifiers import build_classifier
from helpers.signals import RANGES, signal_classifier, signals


class Pitch(nn.Module):
    """Class 0 of low sounds, 1 of high ones."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * 0.5 + 0.5  # normalisation with 0.5, undone
        return torch.stack([(x[..., 1:] + sign * x[..., :-1]).square().mean((1, 2)) for sign in (1, -1)], 1)


def energy(signal: torch.Tensor) -> torch.Tensor:
    return signal.double().square().flatten(1).sum(1)


def test_noise_is_as_loud_as_the_signal_and_seeded_by_it():
    signal = 0.1 * signals(1)
    mixture = with_white_noise(signal, (-10.0, 10.0))  # nothing is clipped
    noise = mixture.signal - mixture.target
    assert torch.equal(mixture.target, signal)
    torch.testing.assert_close(energy(noise), energy(signal), rtol=1e-4, atol=0)
    correlation = (noise[..., 1:] * noise[..., :-1]).flatten(1).sum(1) / energy(noise)
    assert correlation.abs().max() < 0.15  # of 500 samples: white
    torch.testing.assert_close(with_white_noise(signal[1:], (-10.0, 10.0)).signal, mixture.signal[1:])


def test_noise_is_clipped_and_not_in_the_silence_around_a_sound():
    signal = torch.zeros(1, 1, 200)
    signal[..., 50:100] = 0.9 * torch.sin(torch.arange(50.0))
    mixture = with_white_noise(signal, (-1.0, 1.0)).signal
    assert mixture.abs().max() == 1
    first, last = signal.nonzero()[:, 2].aminmax()
    assert not mixture[..., :first].any()
    assert not mixture[..., last + 1 :].any()


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_two_signals_have_the_same_energy_and_fit_into_the_range(dims):
    first, second = signals(dims, 4).split(2)
    mixture = overlapped(first, 0.2 * second, RANGES[dims])
    torch.testing.assert_close(energy(mixture.signal - mixture.target), energy(mixture.target), rtol=1e-4, atol=0)
    low, high = RANGES[dims]
    assert mixture.signal.min() >= low
    assert mixture.signal.max() <= high
    gain = (mixture.target * first).flatten(1).sum(1) / energy(first)
    torch.testing.assert_close(mixture.target.flatten(1), gain.float()[:, None] * first.flatten(1))
    quiet = overlapped(0.1 * first, second, RANGES[dims])
    torch.testing.assert_close(quiet.target, 0.1 * first)  # fits as it is


def test_silence_adds_nothing():
    signal = signals(1)
    assert torch.equal(overlapped(signal, torch.zeros_like(signal), (-1.0, 1.0)).signal, signal)


def test_partners_are_of_another_class_and_belong_to_the_signal():
    classifier, pool = build_classifier(Pitch(), (2, 250), "pitch"), signals(1, 12)
    pool[::2] *= 1 - 2 * (torch.arange(250) % 2)  # high ones
    samples = [{"image": signal, "index": index, "name": str(index)} for index, signal in enumerate(pool)]
    samples[3] = {"name": "3", "reason": "unreadable"}
    classes = classifier(pool).argmax(1)
    assert classes.tolist() == [1, 0] * 6
    image = pool[[0, 5, 7]]
    partners = Partners(samples, classifier).of(image, [0, 5, 7])
    for own, partner in zip(classes[[0, 5, 7]], partners, strict=True):
        (place,) = (index for index, signal in enumerate(pool) if torch.equal(signal, partner))
        assert place != 3
        assert classes[place] != own
    torch.testing.assert_close(Partners(samples, classifier).of(image[1:2], [5]), partners[1:2])  # in any batch
    longer = [{**sample, "image": torch.cat([sample["image"], sample["image"]], 1)} for sample in samples[:3]]
    assert Partners(longer + samples[4:], classifier).of(image[:1], [0]).shape == image[:1].shape


def test_without_another_class_there_is_no_partner():
    pool = signals(1, 1)
    with pytest.raises(InputError, match="at least two classes"):
        Partners([{"image": pool[0]}], signal_classifier(1)).of(pool, [0])
