"""Panels: what stands where, and that they survive odd titles."""

import io
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from amortex.core.layout import Band, Layout
from amortex.core.masks import scale_profile
from amortex.explaining.figures import png
from amortex.explaining.plots import MAX_DYADIC_SIDE, directional, dyadic, panel, training_curve
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.shearlet import Shearlet
from amortex.transforms.wavelet import Wavelet


def masks(k: int) -> torch.Tensor:
    return torch.rand(k, generator=torch.Generator().manual_seed(0))


def rendered(figure) -> Image.Image:
    return Image.open(io.BytesIO(png(figure)))


def test_each_band_has_its_dyadic_cell():
    layout = Wavelet("haar", 2).layout((32, 32))
    mask = masks(layout.k)
    low, level1, level2 = layout.split(mask)
    shown = dyadic(mask, layout)
    assert shown.shape == (32, 32)
    assert torch.equal(shown[:8, :8], low)
    for first, level in ((8, level2), (16, level1)):
        end = 2 * first
        assert torch.equal(shown[:first, first:end], level[0])  # horizontal: right
        assert torch.equal(shown[first:end, :first], level[1])  # vertical: below
        assert torch.equal(shown[first:end, first:end], level[2])  # diagonal: across


@pytest.mark.parametrize(("level", "orientation"), [(2, 1), (2, 6), (1, 0), (1, 3), (1, 4), (1, 7)])
def test_each_direction_of_a_shearlet_mask_has_its_tile(level, orientation):
    layout = Shearlet(2).layout((64, 64))
    mask = torch.zeros(layout.k)
    mask[((layout.level == level) & (layout.orientation == orientation)).nonzero()[0]] = 1  # one entry, top left
    shown = directional(mask, layout, cell=16)
    assert shown.shape == (64, 64)
    cell = 16 if level == 2 else 32
    row, column = divmod(orientation % 4, 2)  # of four tiles
    top, left = row * cell // 2, column * cell // 2
    first = (top, left + cell) if orientation < 4 else (top + cell, left)  # horizontal edges right, vertical ones below
    assert shown[32:, 32:].isnan().all()  # no coefficients: nothing is drawn
    lit = shown.nan_to_num().nonzero()
    assert tuple(lit[0].tolist()) == first
    assert len(lit) <= 16


def test_dyadic_cells_do_not_grow_without_bound():
    layout = Wavelet("db3", 10).layout((32, 20))
    assert dyadic(masks(layout.k), layout).shape == (MAX_DYADIC_SIDE, MAX_DYADIC_SIDE)
    assert dyadic(masks(layout.k), layout, cell=1).shape == (MAX_DYADIC_SIDE, MAX_DYADIC_SIDE)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "transform", [Wavelet(levels=2), Wavelet("haar", 1), Shearlet(2), Fourier(3), Pixel()], ids=repr
)
def test_panels_show_image_explanation_mask_and_scales(transform, channels):
    size = (24, 20)
    layout = transform.layout(size)
    mask, relevance = masks(layout.k), masks(layout.k).square()
    image, picture = torch.rand(channels, *size), torch.rand(1, *size)
    figure = panel(image, picture, mask, relevance, layout, ["a title", "a line"])
    axes = figure.axes
    assert len(axes) == 4
    assert len(axes[2].child_axes) == 1  # the colour bar
    shown = np.asarray(axes[0].images[0].get_array()).reshape(*size, channels)
    assert np.array_equal(shown, image.permute(1, 2, 0).numpy())
    assert np.array_equal(axes[1].images[0].get_array(), picture[0].numpy())
    assert axes[2].images[0].get_array().min() >= 0
    heights = [bar.get_height() for bar in axes[3].patches]
    levels = int(layout.level.max())
    if levels:
        shares = scale_profile(relevance[None], layout.level, levels)[0]
        coarse_to_fine = [shares[0], *shares[1:].flip(0)]
        assert heights == pytest.approx([100 * float(share) for share in coarse_to_fine])
        assert sum(heights) == pytest.approx(100, abs=1e-3)
    else:
        assert sum(heights) == pytest.approx(100)
    assert [text.get_text() for text in figure.texts] == ["a title", "a line"]
    pixels = np.asarray(rendered(figure).convert("L"))
    assert pixels.shape[1] > 1000
    assert pixels.std() > 10


def test_hard_masks_of_pixels_are_shown_as_the_relevance_behind_them():
    layout, relevance = Pixel().layout((24, 20)), masks(480)
    mask = (relevance > 0.95).float()
    image = torch.rand(3, 24, 20)
    axes = panel(image, torch.rand(1, 24, 20), mask, relevance, layout, ["title"]).axes
    under, over = axes[2].images
    assert np.array_equal(under.get_array(), image.mean(0).numpy())
    shown = (relevance / relevance.sort().values[477]).clamp(max=1).reshape(24, 20)  # rank 478 of 480: 99.5 %
    assert np.allclose(over.get_array(), shown)
    assert sum(bar.get_height() for bar in axes[3].patches) == pytest.approx(100)


def test_spectrograms_run_to_the_right_and_upwards():
    layout = Pixel().layout((9, 4))
    frames, mask = torch.arange(36).reshape(1, 9, 4) / 36, masks(36)
    axes = panel(frames, frames / 2, mask, mask, layout, ["title"], spectrogram=True).axes[:3]
    for axis, expected in zip(axes, (frames[0], frames[0] / 2, mask.reshape(9, 4)), strict=True):
        (image,) = axis.images
        shown = np.asarray(image.get_array())
        for frame, band in ((0, 0), (8, 1), (3, 3)):
            assert image.get_extent() == [-0.5, 8.5, -0.5, 3.5]
            assert shown[3 - band, frame] == expected[frame, band]  # the first row is the highest
    assert axes[0].get_title() == "Log-mel spectrogram"
    assert not axes[0].axison  # who does not know how far frames are apart shows no seconds
    timed = panel(frames, frames / 2, mask, mask, layout, ["title"], spectrogram=True, frame_seconds=0.5).axes[:2]
    for axis in timed:
        assert axis.axison
        places = {label.get_text(): label.get_position()[0] for label in axis.get_xticklabels()}
        assert places["0"] == -0.5  # where the first frame begins
        assert places["4"] == 7.5  # after eight of them
        assert axis.get_xlim() == (-0.5, 8.5)
        assert not len(axis.get_yticks())
    bands = (200.0, 1000.0, 3000.0, 5000.0)
    (axis,) = panel(frames, frames / 2, mask, mask, layout, ["title"], spectrogram=True, frequencies=bands).axes[:1]
    places = {label.get_text(): label.get_position()[1] for label in axis.get_yticklabels()}
    assert places.keys() == {"0.25", "0.5", "1", "2", "4"}
    assert (places["1"], places["2"], places["4"]) == (1, 1.5, 2.5)


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (7, 4)])
def test_frequency_masks_are_shown_on_the_whole_plane(size):
    layout = Fourier().layout(size)
    mask = masks(layout.k)
    figure = panel(torch.zeros(3, *size), torch.zeros(1, *size), mask, mask, layout, ["title"])
    shown = np.fft.ifftshift(figure.axes[2].images[0].get_array())
    half = mask.reshape(layout.bands[0].shape).numpy()
    assert shown.shape == size
    for row in range(size[0]):
        for column in range(size[1]):
            here = (row, column) if column < half.shape[1] else (-row % size[0], size[1] - column)
            assert shown[row, column] == half[here]


@pytest.mark.parametrize("title", ["$5 and $10", "$\\frac$", "50 % _ ^ {", "\u732b", "very long " * 40])
def test_any_class_name_can_be_a_title(title):
    layout = Pixel().layout((4, 4))
    figure = panel(torch.rand(3, 4, 4), torch.rand(1, 4, 4), masks(16), masks(16), layout, [title, "$\\lambda k$ = 5"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rendered(figure).width > 1000


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_empty_and_full_masks_can_be_shown(value):
    for transform in (Wavelet(levels=1), Pixel()):
        layout = transform.layout((16, 16))
        mask = torch.full((layout.k,), value)
        figure = panel(torch.zeros(3, 16, 16), torch.zeros(1, 16, 16), mask, mask, layout, ["title"])
        assert np.asarray(figure.axes[2].images[0].get_array()).mean() == value
        assert rendered(figure).width > 1000


@pytest.mark.parametrize("shapes", [((32, 8),), ((1, 100), (1, 156)), ((256,),), ((16, 16),)])
@pytest.mark.parametrize("soft", [False, True])
def test_masks_of_any_transform_can_be_shown(shapes, soft):
    bands = tuple(Band(f"part{index}", shape) for index, shape in enumerate(shapes))
    zeros = torch.zeros(256, dtype=torch.int64)
    layout = Layout(bands, (16, 16), ("all",), zeros, zeros, zeros - 1)
    mask = masks(256) if soft else masks(256).round()
    figure = panel(torch.rand(3, 16, 16), torch.rand(1, 16, 16), mask, masks(256), layout, ["title"])
    shown = np.asarray(figure.axes[2].images[0].get_array())
    np.testing.assert_array_equal(np.sort(shown.ravel()), np.sort(mask.numpy()))
    assert figure.axes[2].get_title().startswith("Mask (coefficients")


@pytest.mark.parametrize("refined", [False, True])
def test_training_curve_has_a_line_for_each_figure_that_is_there(refined):
    row = {"step": 5.0, "1": 0.5, "predicted 1": 0.6, **({"refined 1": 0.2} if refined else {})}
    figure = training_curve([row, {**row, "step": 10.0}])
    lines = {
        line.get_linestyle(): np.asarray(line.get_ydata()) for line in figure.axes[0].lines if line.get_xdata().any()
    }
    assert (lines["-"] == 0.5).all()
    assert (lines["--"] == 0.6).all()
    assert (lines[":"] == 0.2).all() if refined else np.isnan(lines[":"]).all()
    assert ("refined" in [text.get_text() for text in figure.legends[0].texts]) == refined
