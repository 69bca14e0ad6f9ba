"""Means over the supports of basis functions, by brute force."""

import pytest
import torch

from amortex.core.layout import Coefficients
from amortex.transforms.supports import support_means
from amortex.transforms.wavelet import Wavelet


@pytest.mark.parametrize(("wavelet", "mode", "size"), [
    ("haar", "zero", (20, 16)), ("db3", "zero", (20, 16)), ("db2", "periodization", (20, 16)),
    ("db2", "periodization", (21,)), ("db3", "symmetric", (41,)), ("db6", "zero", (37,)), ("bior2.2", "zero", (33,)),
    ("db2", "zero", (5, 7, 6)),
])  # fmt: skip
def test_means_over_supports_by_brute_force(wavelet, mode, size):
    transform = Wavelet(wavelet, 2, mode, dims=len(size))
    layout = transform.layout(size)
    maps = torch.rand(1, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = layout.split(torch.eye(layout.k, dtype=torch.float64))
    basis = transform.inverse(Coefficients(tuple(band[:, None] for band in unit), layout))[:, 0].abs() > 1e-10
    expected = (basis * maps).flatten(1).sum(1) / basis.flatten(1).sum(1).clamp(min=1)
    torch.testing.assert_close(support_means(wavelet, mode, layout, maps)[0], expected)


def test_a_second_of_sound_has_maps_within_ordinary_memory():
    transform = Wavelet("db6", 8, dims=1)
    coefficients = transform(torch.rand(1, 1, 16000))
    layout = coefficients.layout
    maps = torch.ones(1, 16000)
    means = support_means("db6", "zero", layout, maps)
    torch.testing.assert_close(means, torch.ones_like(means))
    # between entries of one value everything has this value: one for each band
    spatial = transform.spatial_map(torch.ones(1, layout.k), coefficients)
    torch.testing.assert_close(spatial, torch.full((1, 16000), 9.0))
