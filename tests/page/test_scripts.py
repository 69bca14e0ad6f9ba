"""What the page's scripts compute themselves, against NumPy, PyWavelets and the library's transform."""

import numpy as np
import pytest
import pywt
import torch

from amortex.page.pictures import mask_layout
from helpers.library import load
from helpers.page import SIGNAL, site


@pytest.fixture(scope="module")
def page(browser, address):
    opened = browser.new_page()
    opened.goto(address)
    yield opened
    opened.close()


def test_the_fourier_magnitude_is_that_of_numpy(page):
    for length in (512, 264, 6):
        signal = np.random.default_rng(length).normal(size=length)
        ours = page.evaluate(
            "async signal => [...(await import('/static/math.js')).fourier(Float64Array.from(signal))]", signal.tolist()
        )
        np.testing.assert_allclose(ours, np.abs(np.fft.rfft(signal)), atol=1e-9)


def test_the_haar_transform_is_that_of_pywavelets(page):
    picture = np.random.default_rng(1).random((16, 16))
    for levels in (0, 1, 4):
        ours = page.evaluate(
            "async ([picture, levels]) => [...(await import('/static/math.js')).haar(picture, 16, levels)]",
            [picture.flatten().tolist(), levels],
        )
        expected = pywt.coeffs_to_array(pywt.wavedec2(picture, "haar", level=levels))[0] if levels else picture
        # which puts horizontal details, differences down, to the lower left, as we do
        np.testing.assert_allclose(np.abs(np.reshape(ours, (16, 16))), np.abs(expected), atol=1e-12)


def test_a_scalogram_has_its_maximum_where_a_burst_is(page):
    time = np.arange(512)
    frequency, centre = 0.1, 300
    signal = np.exp(-(((time - centre) / 30) ** 2)) * np.sin(2 * np.pi * frequency * time)
    values, frequencies = page.evaluate(
        """async signal => { const { scalogram, scalogramFrequencies } = await import('/static/math.js');
        const frequencies = scalogramFrequencies(512);
        return [[...scalogram(Float64Array.from(signal), frequencies)], [...frequencies]]; }""", signal.tolist(),
    )  # fmt: skip
    row, column = np.unravel_index(np.argmax(values), (len(frequencies), 512))
    assert frequencies[row] == pytest.approx(frequency, rel=0.06)
    assert column == pytest.approx(centre, abs=8)


def test_a_coefficient_reaches_what_its_basis_function_does(page):
    result = load("magnitude").explain(site().service("image").preview(SIGNAL)[None])
    layout, transform = result.encoded.layout, result.rate_distortion.transform
    units = torch.eye(layout.k)[:, None]
    coefficients = result.encoded.coefficients
    pictures = transform.inverse(coefficients._replace(bands=layout.split(units)))[:, 0].abs() > 1e-9
    starts = np.cumsum([0, *(int(np.prod(band.shape)) for band in layout.bands)])
    reached = page.evaluate(
        """async mask => { const { Mask } = await import('/static/mask.js');
        const made = new Mask(mask, 32);
        return made.bands.map(({ level, width }) => [...Array(width).keys()].map((n) => made.support(level, n))); }""",
        mask_layout(result),
    )
    for band, start, supports in zip(layout.bands, starts, reached, strict=False):
        width = band.shape[-1]
        for column in range(width):
            index = start + (band.shape[-2] // 2) * width + column
            columns = pictures[index].any(0).nonzero()[:, 0].tolist()
            first, length = supports[column]
            inside = [place for place in range(first, first + length) if 0 <= place < 32]
            assert columns == inside, (band.name, column)
