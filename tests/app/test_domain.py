"""Sounds in the mel domain, by the front door."""

import pytest
import torch

from amortex.app.library import load_explainer
from amortex.core.errors import InputError
from helpers.networks import ToyMel
from helpers.signals import signal_classifier


def sounds() -> torch.Tensor:
    return torch.rand(2, 1, 136, generator=torch.Generator().manual_seed(1)) - 0.5


def test_wavelet_attributions_of_spectrograms_sum_to_what_the_sound_adds_to_silence():
    explainer = load_explainer(
        method="wam_ig", classifier=ToyMel(), domain="mel", wavelet="haar", levels=2, samples=200
    )
    result = explainer.explain(sounds(), [1, 2])
    assert result.encoded.layout.size == (16, 8)
    assert result.certificate().rate.shape == (2,)
    logits = ToyMel().eval()((sounds() - 0.1) / 0.5).gather(1, torch.tensor([[1], [2]]))[:, 0]
    silence = ToyMel().eval()(torch.full((2, 1, 136), -0.2)).gather(1, torch.tensor([[1], [2]]))[:, 0]
    torch.testing.assert_close(result.signed.sum(1), (logits - silence).detach(), rtol=0.02, atol=0.02)


def test_what_has_no_mel_domain_is_refused_in_one_line():
    with pytest.raises(InputError, match="domain mel is of sounds, not volumes"):
        load_explainer(method="wam", modality="volume", domain="mel")
    with pytest.raises(InputError, match="no methods log_mel and from_log_mel"):
        load_explainer(method="wam", classifier=signal_classifier(1).model, input_size=[2, 250], domain="mel")
    with pytest.raises(InputError, match=r"sounds have values in \[-1, 1\]"):
        load_explainer(method="wam", classifier=ToyMel(), domain="mel").explain(3 * sounds())
