"""Shearlets: tightness, a dense frame built from the formulas alone, directions, scales, places, refusals."""

import math

import numpy as np
import pytest
import torch

from amortex.core.errors import InputError
from amortex.core.layout import Coefficients
from amortex.transforms.shearlet import Shearlet
from amortex.transforms.shearlet_frame import directions

SIZES = ((32, 32), (33, 47), (40, 21), (21, 64))


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_it_keeps_the_energy_and_its_adjoint_inverts_it(size, levels):
    transform, x = Shearlet(levels), noise(2, 3, *size)
    coefficients = transform(x)
    torch.testing.assert_close(coefficients.flat.square().sum(2), x.flatten(2).square().sum(2))
    torch.testing.assert_close(transform.inverse(coefficients), x, rtol=0, atol=1e-12)
    arbitrary = coefficients.map(lambda band: noise(*band.shape, seed=1))
    synthesised = transform.inverse(arbitrary)
    torch.testing.assert_close((arbitrary.flat * coefficients.flat).sum(), (synthesised * x).sum())
    single = transform.inverse(transform(x.float()))
    torch.testing.assert_close(single, x.float(), rtol=0, atol=1e-5)


def test_analysis_of_the_synthesis_is_a_projection():
    transform = Shearlet(2)
    layout = transform.layout((20, 33))
    arbitrary = Coefficients(layout.split(noise(1, 1, layout.k)), layout)
    once = transform(transform.inverse(arbitrary))
    twice = transform(transform.inverse(once))
    torch.testing.assert_close(twice.flat, once.flat)
    rest = arbitrary.flat - once.flat
    torch.testing.assert_close((rest * once.flat).sum(), torch.zeros((), dtype=torch.float64), rtol=0, atol=1e-9)
    assert rest.square().sum() > 0.5 * arbitrary.flat.square().sum()  # 5 coefficients per pixel


def meyer(t: float) -> float:
    t = min(max(t, 0.0), 1.0)
    return math.cos(math.pi / 2 * t**4 * (35 - 84 * t + 70 * t**2 - 20 * t**3))


def window(y: float, x: float, level: int, levels: int, turn: float | None, spacing: float) -> float:
    """The window at frequencies in units of Nyquist, for a direction from -1 to 3, or the low-pass without one."""
    radius = max(abs(y), abs(x))

    def low(number: int) -> float:
        return 1.0 if number == 0 else meyer(2 ** (number + 1) * radius - 1)

    if turn is None:
        return low(levels)
    ring = math.sqrt(max(0.0, low(level - 1) ** 2 - low(level) ** 2))
    if ring == 0:
        return 0.0
    here = x / y if abs(x) <= abs(y) else 2 - y / x
    return ring * meyer(abs((here - turn + 2) % 4 - 2) / spacing)


@pytest.mark.parametrize("size", [(21, 27), (21, 25)])
def test_coefficients_are_samples_of_the_filtered_image(size):
    """Odd sizes: each window is evaluated frequency by frequency, and the image filtered without decimation."""
    levels, x = 2, noise(1, 1, *size)
    rows, columns = size
    coefficients = Shearlet(levels)(x)
    spectrum = np.fft.fft2(x[0, 0].numpy()) / math.sqrt(x.numel())
    frequencies = [(f, g) for f in range(-(rows // 2), rows // 2 + 1) for g in range(-(columns // 2), columns // 2 + 1)]
    for band, values in zip(coefficients.layout.bands, coefficients.bands, strict=True):
        level = 0 if band.name == "low" else int(band.name[5])
        stack = values[0, 0] if level else values[0]
        count = directions(level, levels) if level else 1
        second = count // 2 if band.name.endswith("vertical") else 0
        for number, sampled in enumerate(stack.numpy()):
            turn = None if level == 0 else -1 + 4 * (number + second) / count
            expected = np.zeros(sampled.shape, complex)
            down, right = np.meshgrid(*(np.arange(length) / length for length in sampled.shape), indexing="ij")
            for f, g in frequencies:
                weight = window(2 * f / rows, 2 * g / columns, level, levels, turn, 4 / count)
                if weight:
                    expected += weight * spectrum[f % rows, g % columns] * np.exp(2j * np.pi * (f * down + g * right))
            np.testing.assert_allclose(expected.imag, 0, atol=1e-12)
            np.testing.assert_allclose(sampled, expected.real / math.sqrt(sampled.size), atol=1e-12)


def line(angle: float, side: int = 64) -> torch.Tensor:
    """A soft line through the centre; at 0 degrees it is horizontal, and it turns as the hands of a clock do."""
    y, x = torch.meshgrid(*[torch.arange(side, dtype=torch.float64) - side / 2] * 2, indexing="ij")
    away = y * math.cos(math.radians(angle)) - x * math.sin(math.radians(angle))
    taper = torch.exp(-(x**2 + y**2) / (2 * (side / 8) ** 2))
    return (torch.exp(-(away**2) / 2) * taper)[None, None]


@pytest.mark.parametrize("number", range(16))
def test_a_line_is_in_the_orientation_of_its_angle(number):
    """Orientation n of 16 is that of frequencies (x, y) with x / y = n / 4 - 1, and then y / x = 3 - n / 4."""
    turn = number / 4 - 1
    y, x = (1.0, turn) if turn <= 1 else (2 - turn, 1.0)
    angle = math.degrees(math.atan2(-x, y))  # lines are at right angles to their frequencies
    coefficients = Shearlet(3)(line(angle))
    layout = coefficients.layout
    energy = coefficients.flat[0, 0].square()
    shares = torch.stack([energy[(layout.level == 1) & (layout.orientation == index)].sum() for index in range(16)])
    assert int(shares.argmax()) == number
    assert shares[number] > 0.6 * shares.sum()
    around = shares[[(number + step) % 16 for step in (-1, 0, 1)]].sum()
    assert around > 0.99 * shares.sum()


@pytest.mark.parametrize("cycles", [2, 5, 12, 24])
def test_a_wave_is_in_the_octaves_around_its_frequency(cycles):
    x = torch.cos(2 * math.pi * cycles / 64 * torch.arange(64, dtype=torch.float64)).expand(1, 1, 64, 64)
    coefficients = Shearlet(3)(x)
    energy, level = coefficients.flat[0, 0].square(), coefficients.layout.level
    for number in range(1, 4):  # level j: from 2^-(j + 1) of Nyquist, which is 32, to 2^-(j - 1)
        reached = 32 / 2 ** (number + 1) < cycles <= 32 / 2 ** (number - 1)
        assert bool(energy[level == number].sum() > 1e-9) == reached
    assert bool(energy[level == 0].sum() > 1e-9) == (cycles < 32 / 2**3)


def test_every_direction_of_the_smallest_images_has_frequencies():
    for levels, size in ((1, (5, 5)), (2, (10, 11)), (3, (20, 20)), (3, (20, 50))):
        transform = Shearlet(levels)
        layout = transform.layout(size)
        energy = transform(noise(1, 1, *size)).flat[0, 0].square()
        for level in range(1, levels + 1):
            for orientation in range(directions(level, levels)):
                assert energy[(layout.level == level) & (layout.orientation == orientation)].sum() > 1e-4


def test_gradients_are_exact_and_differentiable_again():
    transform = Shearlet(1)
    layout = transform.layout((6, 5))
    flat = noise(1, 1, layout.k).requires_grad_()

    def invert(values: torch.Tensor) -> torch.Tensor:
        return transform.inverse(Coefficients(layout.split(values), layout))

    image = noise(1, 1, 6, 5).requires_grad_()
    assert torch.autograd.gradcheck(invert, (flat,))
    assert torch.autograd.gradgradcheck(lambda values: invert(values).square(), (flat,))
    assert torch.autograd.gradcheck(lambda x: transform(x).flat, (image,))


def test_relevance_is_where_the_coefficients_are():
    x = torch.zeros(1, 1, 48, 60, dtype=torch.float64)
    x[..., 12, 45] = 1
    coefficients = Shearlet(2)(x)
    spatial = Shearlet(2).spatial_map(coefficients.flat[:, 0].square(), coefficients)[0]
    assert divmod(int(spatial.argmax()), 60) == (12, 45)
    assert spatial[6:19, 39:52].sum() > 0.8 * spatial.sum()
    layout = coefficients.layout
    flat = Shearlet(2).spatial_map(torch.ones(1, layout.k, dtype=torch.float64), coefficients)
    torch.testing.assert_close(flat, torch.full_like(flat, 1 + 8 + 8))  # one for each window


def test_white_noise_on_all_coefficients_has_the_variance_of_one_per_pixel_in_the_image():
    transform = Shearlet(2)
    layout = transform.layout((32, 33))
    white = noise(64, 3, layout.k)
    energy = transform.inverse(Coefficients(layout.split(white), layout)).square().mean()
    assert abs(float(energy) - 1) < 0.02  # although there are five coefficients for each pixel


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shearlet(0), "at least one level"),
        (lambda: Shearlet(2).layout((1000,)), "signals with 1 axes"),
        (lambda: Shearlet(2).layout((16, 16, 16)), "signals with 3 axes"),
        (lambda: Shearlet(3).layout((19, 64)), "at least 20 pixels, not 19: use at most 2 levels"),
        (lambda: Shearlet(1).layout((4, 64)), "at least 5 pixels, not 4: use larger"),
    ],
)
def test_what_it_cannot_do_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
