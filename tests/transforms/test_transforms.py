"""What all transforms share (layouts, adjoints, precision), and the Fourier transform."""

import pytest
import torch

from amortex.core.errors import InputError
from amortex.core.layout import Coefficients
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.shearlet import Shearlet
from amortex.transforms.wavelet import Wavelet

TRANSFORMS = (
    Pixel(), Fourier(), Fourier(2), Wavelet("db3", 2), Wavelet("db8", 1), Wavelet("haar", 2, "periodization"),
    Wavelet("bior2.2", 2, "symmetric"), Shearlet(1),
)  # fmt: skip
each_transform = pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: type(t).__name__)


def noise(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@each_transform
def test_split_and_join_are_each_other_s_inverse(transform):
    layout = transform.layout((9, 12))
    flat = noise(2, 3, layout.k)
    parts = layout.split(flat)
    assert [part.shape for part in parts] == [(2, 3, *band.shape) for band in layout.bands]
    assert torch.equal(layout.join(parts), flat)
    bands = transform(noise(2, 3, 9, 12)).bands
    for band, again in zip(bands, layout.split(layout.join(bands)), strict=True):
        assert torch.equal(band, again)


def test_level_group_and_orientation_of_every_wavelet_entry():
    layout = Wavelet("db3", 3).layout((20, 15))
    level, group, orientation = (layout.split(values) for values in (layout.level, layout.group, layout.orientation))
    assert layout.groups == ("low", "level1", "level2", "level3")
    for index, band in enumerate(layout.bands):
        assert band.name == layout.groups[index]
        assert (level[index] == index).all()
        assert (group[index] == index).all()
    assert (orientation[0] == -1).all()
    assert all((detail[d] == d).all() for detail in orientation[1:] for d in range(3))


def test_orientations_are_horizontal_vertical_diagonal():
    row = torch.zeros(1, 1, 16, 16)
    row[..., 7, :] = 1  # one horizontal line
    detail = Wavelet("haar", 1)(row).bands[1][0, 0].abs().sum((1, 2))
    assert detail[0] > 1
    assert detail[1:].max() < 1e-6
    detail = Wavelet("haar", 1)(row.mT).bands[1][0, 0].abs().sum((1, 2))
    assert detail[1] > 1
    assert detail[[0, 2]].max() < 1e-6


@each_transform
def test_transform_is_linear_and_treats_images_and_channels_alike(transform):
    x, y = noise(2, 3, 10, 12), noise(2, 3, 10, 12, seed=1)
    both = transform(x + 2 * y).flat
    torch.testing.assert_close(both, transform(x).flat + 2 * transform(y).flat)
    torch.testing.assert_close(transform(x[1:, 2:]).flat, transform(x).flat[1:, 2:])


def pairing(gradient: Coefficients, change: Coefficients) -> torch.Tensor:
    """Real inner product, of complex numbers that of their parts."""
    return sum((g.conj() * c).real.sum() for g, c in zip(gradient.bands, change.bands, strict=True))


@each_transform
def test_pullback_is_the_adjoint_of_the_inverse(transform):
    coefficients = transform(noise(1, 2, 10, 7))
    gradient = noise(1, 2, 10, 7, seed=1)
    pulled = transform.pullback(gradient, coefficients)
    change = coefficients.map(lambda band: noise(*band.shape, dtype=band.dtype, seed=2))
    torch.testing.assert_close(pairing(pulled, change), (gradient * transform.inverse(change)).sum())


@pytest.mark.parametrize("transform", [Pixel(), Wavelet("db2", 2), Wavelet("db8", 1), Wavelet("haar", 1, "reflect")])
def test_pullback_equals_the_dense_jacobian_of_the_inverse(transform):
    size = (6, 5)
    layout = transform.layout(size)
    gradient = noise(1, 1, *size)

    def invert(flat: torch.Tensor) -> torch.Tensor:
        return transform.inverse(Coefficients(layout.split(flat[None, None]), layout)).flatten()

    jacobian = torch.autograd.functional.jacobian(invert, noise(layout.k, seed=1))
    pulled = transform.pullback(gradient, transform(noise(1, 1, *size))).flat[0, 0]
    torch.testing.assert_close(pulled, gradient.flatten() @ jacobian)


@each_transform
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_autocast_does_not_reduce_precision(transform, dtype):
    x = noise(1, 3, 12, 12, dtype=dtype)
    expected = transform(x)
    relevance = noise(1, expected.layout.k, dtype=dtype).abs()
    with torch.autocast("cpu", torch.bfloat16):
        coefficients = transform(x)
        restored = transform.inverse(coefficients)
        pulled = transform.pullback(x, coefficients)
        spatial = transform.spatial_map(relevance, coefficients)
    assert restored.dtype == dtype
    assert torch.equal(coefficients.flat, expected.flat)
    assert torch.equal(restored, transform.inverse(expected))
    assert torch.equal(pulled.flat, transform.pullback(x, expected).flat)
    assert torch.equal(spatial, transform.spatial_map(relevance, expected))


@each_transform
def test_spatial_map_is_linear_in_a_constant_and_has_the_size_of_the_image(transform):
    x = noise(2, 3, 12, 9).abs()
    coefficients = transform(x)
    relevance = noise(2, coefficients.layout.k, seed=1).abs()
    spatial = transform.spatial_map(relevance, coefficients)
    assert spatial.shape == (2, 12, 9)
    assert (spatial >= 0).all()
    torch.testing.assert_close(transform.spatial_map(3 * relevance, coefficients), 3 * spatial)
    assert spatial.std() > 0


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (10, 7), (1, 5)])
def test_fourier_is_orthonormal(size):
    transform = Fourier()
    x, y = noise(1, 1, *size), noise(1, 1, *size, seed=1)
    fx, fy = (torch.fft.fft2(z, norm="ortho") for z in (x, y))
    half = transform(x).bands[0]
    torch.testing.assert_close(half, fx[..., : size[1] // 2 + 1])
    # the other half are conjugates: each stored column but the first (and an even width's last) counts twice
    twice = torch.full((size[1] // 2 + 1,), 2.0, dtype=torch.float64)
    twice[0] = 1
    if size[1] % 2 == 0:
        twice[-1] = 1
    product = (transform(x).bands[0] * transform(y).bands[0].conj() * twice).real.sum()
    torch.testing.assert_close(product, (x * y).sum())
    torch.testing.assert_close((fx * fy.conj()).real.sum(), product)
    torch.testing.assert_close(transform.inverse(transform(x)), x)


@pytest.mark.parametrize("octaves", [1, 3, 5])
@pytest.mark.parametrize("size", [(8, 8), (20, 15), (33, 40), (240, 240)])
def test_fourier_groups_are_octaves_of_the_radius(size, octaves):
    height, width = size
    layout = Fourier(octaves).layout(size)
    level = layout.level.reshape(height, width // 2 + 1)
    assert torch.equal(layout.group, layout.level)
    assert len(layout.groups) == octaves + 1
    stride = 1 if height < 100 else 12  # 240 = 16 * 15 has radii exactly on a border (3, 4, 5 triangles)
    for row in range(0, height, stride):
        for column in range(0, width // 2 + 1, stride):
            frequency = min(row, height - row)
            # (r height width / 2)^2, whole; r is in units of the Nyquist frequency
            squared = (frequency * width) ** 2 + (column * height) ** 2
            expected = next((j for j in range(1, octaves + 1) if squared * 4 ** (j + 1) > (height * width) ** 2), 0)
            assert level[row, column] == expected, (row, column)


def test_fourier_needs_an_octave():
    with pytest.raises(InputError, match="octave"):
        Fourier(0)
