"""Wavelets of sound and volumes against PyWavelets, and their gradients; images are in test_wavelet.py."""

import itertools
import warnings

import numpy as np
import pytest
import pywt
import torch

from amortex.core.errors import InputError
from amortex.core.layout import Coefficients
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.supports import orientations, support_means
from amortex.transforms.wavelet import Wavelet

WAVELETS = ("haar", "db2", "db3", "db6", "sym4", "sym8", "bior2.2", "db10")
PADDINGS = ("zero", "symmetric", "reflect", "periodization")
SIZES = {1: ((64,), (33,), (5,), (1,)), 2: ((12, 9), (1, 6)), 3: ((8, 8, 8), (9, 6, 7), (3, 1, 2))}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def offered(transform: Wavelet, size: tuple[int, ...]) -> bool:
    try:
        transform.layout(size)
    except InputError:
        return False
    return True


def test_orientations_are_those_of_pywavelets():
    assert orientations(1) == ("d",)
    assert orientations(2) == ("da", "ad", "dd")  # horizontal, vertical, diagonal
    assert sorted(orientations(3)) == ["aad", "ada", "add", "daa", "dad", "dda", "ddd"]


@pytest.mark.parametrize(("dims", "wavelet"), list(itertools.product(SIZES, WAVELETS)))
def test_coefficients_and_inverse_equal_pywavelets_wherever_offered(dims, wavelet):
    exact = 0
    for padding, levels, size in itertools.product(PADDINGS, (1, 2), SIZES[dims]):
        transform = Wavelet(wavelet, levels, padding, dims)
        if not offered(transform, size):
            assert padding != "zero"  # which is always exact
            continue
        exact += 1
        x = noise(2, 2, *size)
        coefficients = transform(x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            axes = tuple(range(-dims, 0))
            low, *details = pywt.wavedecn(x.numpy(), wavelet, padding, levels, axes=axes)
        expected = [low, *(np.stack([d[k] for k in orientations(dims)], -dims - 1) for d in reversed(details))]
        for band, values in zip(coefficients.bands, expected, strict=True):
            np.testing.assert_allclose(band.numpy(), values, rtol=0, atol=1e-10)
        torch.testing.assert_close(transform.inverse(coefficients), x, rtol=0, atol=1e-8)
        # coefficients that are not those of a signal
        bands = [noise(*band.shape, seed=index) for index, band in enumerate(coefficients.bands)]
        keyed = [{k: band.numpy().take(i, -dims - 1) for i, k in enumerate(orientations(dims))} for band in bands[1:]]
        restored = pywt.waverecn([bands[0].numpy(), *reversed(keyed)], wavelet, padding, axes=axes)
        ours = transform.inverse(Coefficients(tuple(bands), coefficients.layout)).numpy()
        cut = tuple(slice(length) for length in size)
        np.testing.assert_allclose(ours, restored[(..., *cut)], rtol=0, atol=1e-9)
    assert exact >= len(SIZES[dims]) * 2


@pytest.mark.parametrize(("dims", "wavelet", "padding"), [
    (1, "db3", "zero"), (1, "db6", "symmetric"), (1, "sym8", "zero"),
    (1, "db2", "reflect"), (1, "haar", "periodization"),
    (3, "haar", "zero"), (3, "db3", "zero"), (3, "db6", "zero"),
    (3, "db2", "symmetric"), (3, "haar", "periodization"),
])  # fmt: skip
def test_gradients_are_exact(dims, wavelet, padding):
    transform = Wavelet(wavelet, 1, padding, dims)
    size = {1: (11,), 3: (4, 6, 4)}[dims]
    x = noise(1, 2, *size).requires_grad_()
    assert torch.autograd.gradcheck(lambda signal: transform(signal).bands, (x,), fast_mode=True)
    layout = transform.layout(size)
    bands = [band.detach().requires_grad_() for band in transform(x).bands]
    assert torch.autograd.gradcheck(
        lambda *parts: transform.inverse(Coefficients(parts, layout)), tuple(bands), fast_mode=True
    )


@pytest.mark.parametrize("dims", SIZES)
@pytest.mark.parametrize("kind", [lambda dims: Wavelet("haar", 2, dims=dims), lambda dims: Pixel(),
                                  lambda dims: Fourier(2)])  # fmt: skip
def test_layouts_spatial_maps_and_pullbacks_fit(kind, dims):
    transform, size = kind(dims), SIZES[dims][0]
    x = noise(2, 3, *size)
    coefficients = transform(x)
    layout = coefficients.layout
    assert layout.size == size
    assert coefficients.flat.shape == (2, 3, layout.k)
    assert len(layout.level) == len(layout.group) == len(layout.orientation) == layout.k
    assert transform.spatial_map(torch.rand(2, layout.k, dtype=torch.float64), coefficients).shape == (2, *size)
    gradient = noise(2, 3, *size, seed=1)
    pulled = transform.pullback(gradient, coefficients)
    step = coefficients.map(lambda band: 1e-6 * torch.ones_like(band))
    moved = transform.inverse(coefficients.map(torch.add, step.bands)) - transform.inverse(coefficients)
    directional = sum((g * s.conj()).real.sum() for g, s in zip(pulled.bands, step.bands, strict=True))
    torch.testing.assert_close((moved * gradient).sum(), directional, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("dims", SIZES)
def test_a_basis_function_has_its_map_and_its_support_where_it_is(dims):
    transform, size = Wavelet("haar", 2, dims=dims), (16,) * dims
    layout = transform.layout(size)
    entry = layout.k // 2
    coefficients = Coefficients(layout.split(torch.eye(layout.k)[entry][None, None].double()), layout)
    energy = transform.inverse(coefficients)[0, 0].square()
    relevance = torch.eye(layout.k, dtype=torch.float64)[entry][None]
    spatial = transform.spatial_map(relevance, coefficients)[0]
    assert spatial[energy > 0].sum() > 0.4 * spatial.sum()
    means = support_means("haar", "zero", layout, (energy > 0).double()[None])
    assert means[0, entry] == pytest.approx(1.0)


def test_signals_with_another_number_of_axes_are_refused():
    with pytest.raises(InputError, match="2 axes cannot take signals of 1"):
        Wavelet()(torch.rand(1, 1, 64))
    with pytest.raises(InputError, match="1 to 3 axes, not 4"):
        Wavelet(dims=4)


@pytest.mark.parametrize("dims", SIZES)
def test_maps_of_levels_are_those_of_their_entries_alone_and_sum_to_the_whole(dims):
    transform, size = Wavelet("db2", 2, dims=dims), SIZES[dims][0]
    coefficients = transform(noise(2, 1, *size))
    relevance = noise(2, coefficients.layout.k).abs()
    maps = transform.level_maps(relevance, coefficients)
    assert maps.shape == (2, 3, *size)
    torch.testing.assert_close(maps.sum(1), transform.spatial_map(relevance, coefficients))
    coarse = torch.where(coefficients.layout.level == 2, relevance, 0)
    torch.testing.assert_close(maps[:, 2], transform.spatial_map(coarse, coefficients))
