"""Convolutions of sound, whose neighbouring positions are channels, against torch's."""

import pytest
import torch
from torch.nn import functional as F

from amortex.transforms import kernels


@pytest.mark.parametrize(("channels", "length", "padding"), [(1, 2, 0), (1, 12, 10), (2, 3, 1), (2, 6, 4)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("samples", [12, 13, 100])
def test_positions_as_channels_change_nothing(monkeypatch, channels, length, padding, stride, samples):
    monkeypatch.setattr(kernels, "MANY", 0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, channels, samples, generator=generator, dtype=torch.float64)
    kernel = torch.randn(2 * channels, channels, length, generator=generator, dtype=torch.float64)
    expected = F.conv1d(x, kernel, stride=stride, padding=padding)
    assert torch.allclose(kernels.convolve(x, kernel, stride, padding), expected, rtol=0, atol=1e-12)


def test_few_positions_are_left_to_torch(monkeypatch):
    plain = torch.ones(1, 2, 3)
    monkeypatch.setitem(kernels.CONVOLUTIONS, 1, lambda *_, **__: plain)
    assert kernels.convolve(torch.zeros(1, 1, 8), torch.zeros(2, 1, 2), stride=2) is plain
    many = kernels.convolve(torch.zeros(1, 1, 2 * kernels.MANY), torch.zeros(2, 1, 2), stride=2)
    assert many.shape == (1, 2, kernels.MANY)
