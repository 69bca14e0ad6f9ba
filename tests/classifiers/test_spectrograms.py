"""Classifiers of sound behind their front end."""

import math

import pytest
import torch

from amortex.classifiers.loading import load_classifier
from amortex.classifiers.log_mel import LogMel
from amortex.classifiers.spectrograms import on_spectrograms
from amortex.core.errors import InputError
from helpers.networks import ToyMel
from helpers.signals import signal_classifier


def sounds(count: int = 3) -> torch.Tensor:
    return 2 * torch.rand(count, 1, 136, generator=torch.Generator().manual_seed(0)) - 1


def test_the_spectrograms_of_sounds_have_the_logits_of_the_sounds():
    waveforms = load_classifier(ToyMel())
    behind = on_spectrograms(waveforms)
    assert behind.input_size == (1, 16, 8)
    assert behind.signal_config == waveforms.data_config
    spectrograms = behind.front_end(sounds())
    assert spectrograms.shape == (3, 1, 16, 8)
    torch.testing.assert_close(behind(spectrograms), waveforms(sounds()), rtol=1e-4, atol=1e-5)
    assert on_spectrograms(behind) is behind


def test_the_scale_is_the_network_s_not_the_sound_s():
    behind = on_spectrograms(load_classifier(ToyMel()))
    quiet, loud = behind.front_end(sounds(1) / 100), behind.front_end(sounds(1))
    both = behind.front_end(torch.cat([sounds(1) / 100, sounds(1)]))
    torch.testing.assert_close(both, torch.cat([quiet, loud]))
    assert quiet.mean() < loud.mean() < 1
    # a mean of 0.1 is subtracted from sounds before the front end, which hears it as a constant: in no band
    torch.testing.assert_close(behind.front_end(torch.zeros(1, 1, 136)), torch.zeros(1, 1, 16, 8), rtol=0, atol=1e-5)


def test_a_network_may_say_what_its_range_is():
    network = ToyMel()
    network.log_mel_range = (math.log(0.01), 4.0)
    front_end = on_spectrograms(load_classifier(network)).front_end
    assert (front_end.low, front_end.high) == (math.log(0.01), 4.0)


def test_a_network_may_say_where_its_bands_are():
    network = ToyMel()
    assert on_spectrograms(load_classifier(network)).front_end.frequencies is None
    network.log_mel_frequencies = tuple(range(100, 900, 100))
    assert on_spectrograms(load_classifier(network)).front_end.frequencies == network.log_mel_frequencies
    for wrong in (tuple(range(100, 800, 100)), tuple(range(800, 0, -100))):
        network.log_mel_frequencies = wrong
        with pytest.raises(InputError, match="must be the centres of its 8 bands in Hz, rising"):
            on_spectrograms(load_classifier(network))


def test_a_tone_at_the_centre_of_a_band_is_loudest_there():
    front_end, time = LogMel(), torch.arange(400) / 16000
    for band in (5, 30, 60):
        tone = torch.sin(2 * torch.pi * front_end.frequencies[band] * time)
        assert front_end(tone[None, None])[0, 0, 0].argmax() == band


def test_no_sound_exceeds_the_range_of_the_log_mel_spectrogram():
    front_end, time = LogMel(), torch.arange(4000) / 16000
    low, high = front_end.value_range
    chirp = torch.sin(2 * torch.pi * (100 + 14000 * time) * time)
    noise = torch.randint(0, 2, (4000,), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    loudest = front_end(torch.stack([chirp, chirp.sign(), noise])[:, None]).amax((1, 2, 3))
    assert high - 1 < loudest.max() <= high
    torch.testing.assert_close(front_end(torch.zeros(1, 1, 400)), torch.full((1, 1, 1, 64), low))


def test_what_has_no_front_end_is_refused():
    with pytest.raises(InputError, match="has no methods log_mel and from_log_mel: choose the domain waveform"):
        on_spectrograms(signal_classifier(1))
    with pytest.raises(InputError, match="of sound, and toy of 3 axes takes signals with 3 axes"):
        on_spectrograms(signal_classifier(3))
