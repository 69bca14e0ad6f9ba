"""The wavelet transform against PyWavelets, and its gradients."""

import itertools
import re
import warnings

import numpy as np
import pytest
import pywt
import torch

from amortex.core.errors import InputError
from amortex.core.layout import Coefficients
from amortex.transforms.exactness import is_exact
from amortex.transforms.wavelet import LONGEST_NONSEPARABLE, Wavelet

WAVELETS = ("haar", "db2", "db3", "db5", "db8", "sym4", "bior2.2", "bior4.4", "rbio1.3", "coif1")
SIZES = ((32, 32), (33, 21), (5, 5), (7, 2), (64, 40))
MODES = ("zero", "symmetric", "reflect", "periodization")
SHORT, LONG = "db3", "db8"  # synthesised by one dense convolution, and by separable passes


def noise(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def with_pywt(x: np.ndarray, transform: Wavelet) -> list[np.ndarray]:
    """Bands as amortex orders them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        low, *details = pywt.wavedec2(
            x, transform.wavelet, mode=transform.padding, level=transform.levels, axes=(-2, -1)
        )
    return [low, *(np.stack(detail, axis=-3) for detail in reversed(details))]


def inverse_with_pywt(bands: tuple[torch.Tensor, ...], transform: Wavelet, size: tuple[int, int]) -> np.ndarray:
    low, *details = (band.numpy() for band in bands)
    coefficients = [low, *(tuple(np.moveaxis(detail, -3, 0)) for detail in reversed(details))]
    return pywt.waverec2(coefficients, transform.wavelet, mode=transform.padding)[..., : size[0], : size[1]]


def is_offered(transform: Wavelet, size: tuple[int, int]) -> bool:
    try:
        transform.layout(size)
    except InputError:
        return False
    return True


def test_both_synthesis_paths_are_tested():
    assert pywt.Wavelet(SHORT).dec_len <= LONGEST_NONSEPARABLE[2] < pywt.Wavelet(LONG).dec_len


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wavelet", WAVELETS)
def test_coefficients_and_inverse_equal_pywavelets_wherever_offered(wavelet, mode):
    for levels, size in itertools.product((1, 2, 5), SIZES):
        transform = Wavelet(wavelet, levels, mode)
        if not is_offered(transform, size):
            continue
        x = noise(2, 3, *size)
        coefficients = transform(x)
        for band, expected in zip(coefficients.bands, with_pywt(x.numpy(), transform), strict=True):
            np.testing.assert_allclose(band.numpy(), expected, rtol=0, atol=1e-10)
        torch.testing.assert_close(transform.inverse(coefficients), x, rtol=0, atol=1e-7)
        # obfuscated coefficients are no transform of any image, and must be inverted like PyWavelets does all the same
        free = coefficients.map(lambda band: noise(*band.shape, seed=1))
        expected = inverse_with_pywt(free.bands, transform, size)
        np.testing.assert_allclose(transform.inverse(free).numpy(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("mode", ["zero", "symmetric"])
@pytest.mark.parametrize("wavelet", WAVELETS)
def test_zero_and_symmetric_padding_are_offered_at_every_size(wavelet, mode):
    sizes = (*SIZES, (1, 1))
    assert all(is_offered(Wavelet(wavelet, levels, mode), size) for levels in (1, 5) for size in sizes)


@pytest.mark.parametrize("mode", ["reflect", "periodization"])
@pytest.mark.parametrize("wavelet", [SHORT, LONG])
def test_other_paddings_are_offered_only_where_the_image_is_long_enough(wavelet, mode):
    assert is_offered(Wavelet(wavelet, 1, mode), (32, 32))
    assert not is_offered(Wavelet(wavelet, 5, mode), (5, 5))


@pytest.mark.parametrize(("wavelet", "mode", "size"), [
    ("dmey", "zero", (64, 64)), ("db3", "reflect", (5, 5)), ("db8", "periodization", (5, 5)),
    ("haar", "reflect", (7, 1)),
])  # fmt: skip
def test_an_inexact_combination_is_refused_by_forward_and_layout(wavelet, mode, size):
    transform = Wavelet(wavelet, 2, mode)
    with pytest.raises(InputError, match="not exact"):
        transform.layout(size)
    with pytest.raises(InputError, match="not exact"):
        transform(torch.rand(1, 1, *size))


@pytest.mark.parametrize(
    ("wavelet", "levels", "padding", "size", "remedies"),
    [
        ("db3", 5, "reflect", (16, 40), "use padding 'zero', or at most 4 levels, or sides of at least 21$"),
        ("db20", 3, "reflect", (32,), "use padding 'zero', or sides of at least 43$"),
        ("db3", 5, "periodization", (8, 8, 8), "use padding 'zero', or at most 1 level, or sides of at least 65$"),
        ("dmey", 5, "zero", (32, 32), "use another wavelet$"),
    ],
)
def test_a_refused_size_comes_with_what_is_exact(wavelet, levels, padding, size, remedies):
    with pytest.raises(InputError, match=remedies):
        Wavelet(wavelet, levels, padding, len(size)).layout(size)
    side = re.search(r"at least (\d+)", remedies.split("sides")[-1])
    if side:
        assert is_exact(Wavelet(wavelet, levels, padding, 1), (int(side[1]),))
        assert not is_exact(Wavelet(wavelet, levels, padding, 1), (int(side[1]) - 1,))


def test_mistyped_wavelets_and_paddings_are_answered_by_near_ones():
    with pytest.raises(InputError, match="unknown wavelet 'sym44': did you mean sym4"):
        Wavelet("sym44")
    with pytest.raises(InputError, match="unknown padding 'reflct': did you mean reflect"):
        Wavelet(padding="reflct")


@pytest.mark.parametrize("arguments", [("db99",), ("gaus1",), ("db3", 0), ("db3", 5, "constant")])
def test_unknown_settings_are_refused(arguments):
    with pytest.raises(InputError):
        Wavelet(*arguments)


@pytest.mark.parametrize("wavelet", [SHORT, LONG])
def test_float32_is_as_exact_as_float32_can_be(wavelet):
    transform = Wavelet(wavelet, 3)
    x = noise(1, 3, 33, 40, dtype=torch.float32)
    coefficients = transform(x)
    assert all(band.dtype == torch.float32 for band in coefficients.bands)
    for band, expected in zip(coefficients.bands, with_pywt(x.double().numpy(), transform), strict=True):
        np.testing.assert_allclose(band.numpy(), expected, rtol=0, atol=2e-5)
    torch.testing.assert_close(transform.inverse(coefficients), x, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("size", "k"), [(224, 53_959), (256, 69_831)])
def test_number_of_mask_entries_of_the_paper(size, k):
    layout = Wavelet("db3", 5, "zero").layout((size, size))
    assert layout.k == len(layout.group) == len(layout.level) == len(layout.orientation) == k


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("wavelet", "size"), [(SHORT, (12, 11)), (LONG, (17, 16)), ("bior2.2", (11, 12))])
def test_gradients_of_forward_and_inverse_are_exact(wavelet, size, mode):
    transform = Wavelet(wavelet, 1 if mode in ("reflect", "periodization") else 2, mode)
    x = noise(1, 2, *size).requires_grad_()
    coefficients = transform(x)
    assert torch.autograd.gradcheck(lambda image: transform(image).bands, (x,), fast_mode=True)
    bands = tuple(band.detach().requires_grad_() for band in coefficients.bands)
    invert = lambda *parts: transform.inverse(Coefficients(parts, coefficients.layout))  # noqa: E731
    assert torch.autograd.gradcheck(invert, bands, fast_mode=True)


@pytest.mark.parametrize("mode", MODES)
def test_gradcheck_entry_by_entry(mode):
    transform = Wavelet("db2", 1, mode)
    x = noise(1, 1, 6, 5 if mode != "periodization" else 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda image: transform(image).bands, (x,))
    coefficients = transform(x.detach())
    bands = tuple(band.requires_grad_() for band in coefficients.bands)
    invert = lambda *parts: transform.inverse(Coefficients(parts, coefficients.layout))  # noqa: E731
    assert torch.autograd.gradcheck(invert, bands)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_casting_the_module_leaves_its_filters_exact(dtype):
    x = noise(1, 3, 20, 20)
    expected = Wavelet("db3", 2)(x).flat
    torch.testing.assert_close(Wavelet("db3", 2).to(dtype)(x).flat, expected, rtol=0, atol=0)


@pytest.mark.parametrize("mode", ["zero", "symmetric", "periodization"])
@pytest.mark.parametrize("wavelet", [SHORT, "haar", "sym4"])
def test_spatial_map_puts_an_entry_where_its_basis_function_has_its_energy(wavelet, mode):
    transform = Wavelet(wavelet, 3, mode)
    layout = transform.layout((96, 96))
    pixels = torch.arange(96, dtype=torch.float64)

    def centre(weight: torch.Tensor) -> list[float]:
        return [float(weight.sum(axis) @ pixels / weight.sum()) for axis in (1, 0)]

    first = 0
    for band in layout.bands:  # the entry in the middle of each band and orientation, so that no border cuts it
        height, width = band.shape[-2:]
        middle = (height // 2) * width + width // 2 - 1
        for orientation in range(band.shape[0] if len(band.shape) == 3 else 1):
            entry = torch.zeros(1, layout.k, dtype=torch.float64)
            entry[0, first + orientation * height * width + middle] = 1
            unit = Coefficients(layout.split(entry[:, None]), layout)
            energy = transform.inverse(unit)[0, 0].square()
            assert centre(transform.spatial_map(entry, unit)[0]) == pytest.approx(centre(energy), abs=0.2)
        first += torch.Size(band.shape).numel()


@pytest.mark.parametrize("wavelet", [SHORT, LONG])
def test_one_that_was_first_used_in_inference_mode_still_has_gradients(wavelet):
    transform, x = Wavelet(wavelet, 2), noise(1, 1, 64, 64, dtype=torch.float32)
    with torch.inference_mode():
        transform.inverse(transform(x))
    x.requires_grad_()
    transform.inverse(transform(x)).square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach(), rtol=1e-3, atol=1e-3)
