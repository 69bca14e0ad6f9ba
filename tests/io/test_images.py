"""Photographs as people have them: every mode and format, broken files, folders."""

import os

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from skimage import data
from timm.data import create_transform, resolve_data_config

from amortex.core.errors import InputError
from amortex.io.finding import find_files
from amortex.io.images import Preprocess, to_colour
from helpers.photographs import photographs

CONFIG = {"input_size": (3, 16, 16), "interpolation": "bicubic", "crop_pct": 0.875, "crop_mode": "center"}
WIDE = np.array([[0, 32768], [65535, 257]], dtype=np.uint16)
WIDE_IN_8_BIT = [[0, 128], [255, 1]]


def colours(image: Image.Image) -> np.ndarray:
    return np.asarray(to_colour(image))


def through_file(image: Image.Image, path, **options) -> np.ndarray:
    image.save(path, **options)
    with Image.open(path) as opened:
        return colours(opened)


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("LA", (100, 0), (255, 255, 255)),
        ("LA", (100, 255), (100, 100, 100)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (0, 0, 255, 51), (204, 204, 255)),
        ("CMYK", (255, 0, 0, 0), (0, 255, 255)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
    ],
)
def test_modes_become_the_colour_that_a_viewer_shows(tmp_path, mode, pixel, expected):
    ending = "tif" if mode == "CMYK" else "png"
    shown = through_file(Image.new(mode, (3, 2), pixel), tmp_path / f"a.{ending}")
    assert shown.shape == (2, 3, 3)
    assert np.abs(shown.astype(int) - expected).max() <= 1


def test_cmyk_jpeg(tmp_path):
    shown = through_file(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "a.jpg", quality=95)
    assert np.abs(shown.astype(int) - (255, 0, 0)).max() <= 3


def test_transparent_palette_entries_turn_white_and_others_stay(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([200, 10, 10, 10, 200, 10])
    image.putdata([0, 1])
    for ending in ("png", "gif"):
        assert through_file(image, tmp_path / f"a.{ending}", transparency=0).tolist() == [[[255] * 3, [10, 200, 10]]]


@pytest.mark.parametrize(
    ("pixels", "ending", "expected"),
    [
        (WIDE, "png", WIDE_IN_8_BIT),
        (WIDE, "tif", WIDE_IN_8_BIT),
        (WIDE.astype(">u2"), "tif", WIDE_IN_8_BIT),
        (WIDE.astype(np.int32), "tif", WIDE_IN_8_BIT),
        (np.array([[0, 7], [255, 1]], dtype=np.int32), "tif", [[0, 7], [255, 1]]),
        ((WIDE / 65535).astype(np.float32), "tif", WIDE_IN_8_BIT),
        (np.array([[0, 7], [255, 1]], dtype=np.float32), "tif", [[0, 7], [255, 1]]),
        (np.array([[np.nan, -1], [0.2, 1]], dtype=np.float32), "tif", [[0, 0], [51, 255]]),
    ],
)
def test_wide_pixels_are_scaled_to_8_bit(tmp_path, pixels, ending, expected):
    shown = through_file(Image.fromarray(pixels), tmp_path / f"a.{ending}")
    assert shown.tolist() == [[[value] * 3 for value in row] for row in expected]


UNDO = {
    1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
    7: "TRANSVERSE", 8: "ROTATE_270",
}  # fmt: skip


@pytest.mark.parametrize("orientation", UNDO)
def test_exif_rotation_is_applied(tmp_path, orientation):
    upright = Image.fromarray(np.arange(18, dtype=np.uint8).reshape(2, 3, 3))
    stored = upright.transpose(Image.Transpose[UNDO[orientation]]) if UNDO[orientation] else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(through_file(stored, tmp_path / "a.png", exif=exif), np.asarray(upright))


def test_the_first_frame_of_an_animation_is_taken(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "green")]
    shown = through_file(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert shown[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (10_000, 1), (1, 10_000), (10_000, 20)])
def test_odd_sizes_fill_the_input(tmp_path, size):
    Image.new("RGB", size, (255, 0, 51)).save(tmp_path / "a.png")
    pixels = Preprocess(CONFIG).load(tmp_path / "a.png")
    assert torch.allclose(pixels, torch.tensor([1.0, 0.0, 0.2])[:, None, None].expand(3, 16, 16))


@pytest.mark.parametrize(
    "changes",
    [{}, {"crop_mode": "squash", "crop_pct": 1.0}, {"input_size": (3, 96, 160), "interpolation": "bilinear"}],
)
@pytest.mark.parametrize("photograph", [data.chelsea, data.coffee])
def test_preprocessing_equals_timm_s_evaluation_transform(photograph, changes):
    config = {**resolve_data_config(model=timm.create_model("test_efficientnet")), **changes}
    image = Image.fromarray(photograph())
    mean, std = (torch.tensor(config[key])[:, None, None] for key in ("mean", "std"))
    pixels = Preprocess(config)(image)
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    torch.testing.assert_close((pixels - mean) / std, create_transform(**config)(image), rtol=0, atol=2e-6)


def test_a_grey_classifier_gets_one_channel_and_others_are_refused():
    assert Preprocess({**CONFIG, "input_size": (1, 16, 16)})(Image.fromarray(data.chelsea())).shape == (1, 16, 16)
    with pytest.raises(InputError, match="4 input channels"):
        Preprocess({**CONFIG, "input_size": (4, 16, 16)})


def test_broken_files_are_named_in_one_line(tmp_path, monkeypatch):
    whole = photographs(tmp_path, "whole.jpg") / "whole.jpg"
    (tmp_path / "truncated.jpg").write_bytes(whole.read_bytes()[:500])
    (tmp_path / "text.jpg").write_text("not\nan\nimage")
    (tmp_path / "empty.png").touch()
    load = Preprocess(CONFIG).load
    for name in ("truncated.jpg", "text.jpg", "empty.png", "missing.png"):
        with pytest.raises(InputError, match=rf"{name}: (not a readable image|no such file)") as caught:
            load(tmp_path / name)
        assert "\n" not in str(caught.value)
    (tmp_path / "two\nlines.jpg").touch()
    with pytest.raises(InputError, match=r"two\\nlines\.jpg: not a readable image"):
        load(tmp_path / "two\nlines.jpg")
    assert load(whole).shape == (3, 16, 16)

    def locked(path, *rest, **more):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", locked)
    with pytest.raises(InputError, match=r"whole\.jpg: .*Permission denied"):
        load(whole)


def names(*arguments, **more) -> list[str]:
    return [source.name.as_posix() for source in find_files(map(str, arguments), **more)]


def test_folders_are_searched_in_order_without_what_is_no_image_or_hidden(tmp_path):
    photographs(tmp_path, "b.png", "A.JPG", "deep/er/c.webp", "deep/a.tiff", ".hidden.png", ".thumbnails/d.png")
    for name in ("notes.txt", "data.h5", "drawing.eps", "film.mpg", "b.png.part", "png"):
        (tmp_path / name).write_text("something else")
    assert names(tmp_path) == ["A.JPG", "b.png", "deep/a.tiff", "deep/er/c.webp"]
    assert names(tmp_path / "deep", tmp_path / ".hidden.png") == ["a.tiff", "er/c.webp", ".hidden.png"]


def test_results_are_not_inputs(tmp_path):
    photographs(tmp_path, "a.png", "out/b.png", "old/c_panel.png", "old/c_explanation.png", "d_panel.png")
    (tmp_path / "old" / "c_mask.safetensors").touch()
    assert names(tmp_path, exclude=tmp_path / "x" / ".." / "out") == ["a.png", "d_panel.png"]
    assert names(tmp_path / "out", exclude=tmp_path / "out") == ["b.png"]


def test_nothing_to_explain_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no images in"):
        names(tmp_path)
    with pytest.raises(InputError, match=r"nowhere\.png: no such file"):
        names(tmp_path / "nowhere.png")


def test_file_names_that_are_no_text_are_escaped(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    (source,) = find_files([str(photographs(tmp_path, "a.png") / "a.png")])
    assert source._replace(path=type(source.path)(path)).label.endswith("caf\\udce9.png")


def test_images_far_smaller_than_the_input_are_noticed_once(caplog):
    preprocess = Preprocess(CONFIG)  # 16 x 16
    for size in ((7, 40), (8, 8), (40, 7), (100, 100)):
        preprocess(Image.new("RGB", size))
    assert caplog.messages == []
    preprocess.give_notices()
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("2 of 4 images are less than half as large as the classifier's input (16x16):")
    caplog.clear()
    Preprocess(CONFIG).give_notices()
    assert caplog.messages == []
