"""Images that an explainer of `import amortex` takes, and those that it refuses."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from amortex.core.errors import InputError
from amortex.io.images import Preprocess
from helpers.library import load


def test_paths_pil_images_and_tensors_give_the_same(two_files):
    loaded = load()
    pixels = torch.stack([Preprocess(loaded.classifier.data_config).load(path) for path in two_files])
    expected = loaded.explain(pixels)
    assert expected.mask.shape == (2, expected.encoded.layout.k)
    assert torch.equal(expected.mask, loaded.explainer.explain(pixels).mask)
    names, pictures = [str(path) for path in two_files], [Image.open(path) for path in two_files]
    for images in (two_files, names, pictures, (two_files[0], pictures[1])):
        assert torch.equal(loaded.explain(images).mask, expected.mask)
    for one in (two_files[0], str(two_files[0]), Image.open(two_files[0])):
        torch.testing.assert_close(loaded.explain(one).mask, expected.mask[:1])
    maps = loaded.attribute(two_files, target=1)
    assert maps.shape == (2, 3, 32, 32)
    assert torch.equal(maps, loaded.explainer.attribute(pixels, 1))


def test_contents_of_files_arrays_and_lists_of_tensors_are_images(two_files):
    loaded = load()
    expected = loaded.explain(two_files)
    contents = [path.read_bytes() for path in two_files]
    arrays = [np.asarray(Image.open(path).convert("RGB")) for path in two_files]
    for images in (contents, arrays, list(expected.encoded.image), expected.encoded.image.numpy()):
        assert torch.equal(loaded.explain(images).mask, expected.mask)
    for image in (contents[1], io.BytesIO(contents[1]), [io.BytesIO(contents[1])], arrays[1]):
        assert torch.equal(loaded.explain(image).encoded.image, expected.encoded.image[1:])
    floats = [array / 255 for array in arrays]
    assert torch.equal(loaded.explain(floats).mask, expected.mask)
    assert torch.equal(loaded.explain(floats[1].astype(np.float32)).encoded.image, expected.encoded.image[1:])
    grey = loaded.explain(arrays[0][..., 0]).encoded.image
    assert torch.equal(grey[:, 0], grey[:, 2])


@pytest.mark.parametrize(
    ("images", "why"),
    [
        ([], "there are no images"),
        ("/nowhere.png", "no such file"),
        (__file__, "not a readable image"),
        ([3], "not int: of \\(image, label\\) pairs, give the images"),
        ([(Image.new("RGB", (40, 40)), 3)], "not tuple: of \\(image, label\\) pairs"),
        (io.StringIO("dog.png"), "an open file must be binary, as of open\\(path, 'rb'\\), not text"),
        (b"GIF89a", r"bytes: not a readable image \(UnidentifiedImageError: cannot identify image file\)"),
        (
            np.zeros((2, 40, 40, 3), np.uint8),
            r"\(B, 3, H, W\), not \(2, 40, 40, 3\) of uint8: give a list of its pictures",
        ),
        (np.zeros((40, 40, 3), np.int64), r"\(B, 3, H, W\), not \(40, 40, 3\) of int64"),
        ([np.zeros((40, 40, 3), np.int64)], r"or tensors, not \(40, 40, 3\) of int64"),
        (np.zeros((3, 40, 3)), r"not \(3, 40, 3\) of float64"),
        (np.full((40, 40, 3), 255.0), r"values in \[0, 1\], not from 255 to 255"),
        (np.full((40, 40, 3), np.nan), "not from nan to nan"),
        (np.zeros((3, 40, 40), np.uint8), r"not \(3, 40, 40\)"),
        ([torch.rand(3, 32, 32), torch.rand(3, 40, 40)], r"one shape, not \(3, 32, 32\) and \(3, 40, 40\)"),
        ([torch.rand(3, 32, 32), Image.new("RGB", (40, 40))], "a list holds tensors alone, or none"),
        ([torch.zeros(3, 32, 32), torch.full((3, 32, 32), torch.nan)], r"pixels of input 1 .* are NaN"),
        (torch.rand(3, 32, 32), r"\(B, 3, H, W\), not \(3, 32, 32\) of float32: give image\[None\]"),
        (torch.rand(1, 1, 32, 32), r"\(B, 3, H, W\), not \(1, 1, 32, 32\)"),
        (torch.rand(0, 3, 32, 32), "not \\(0, 3, 32, 32\\)"),
        (None, "not NoneType"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "not torch.uint8"),
        (2 * torch.ones(1, 3, 32, 32), r"pixels in \[0, 1\]"),
    ],
)
def test_bad_images_get_one_line(images, why):
    with pytest.raises(InputError, match=why) as caught:
        load().explain(images)
    assert "\n" not in str(caught.value)


def test_photographs_are_in_the_unit_interval_and_so_are_mean_and_std(two_files):
    bytes_scale = {"mean": [123.7, 116.3, 103.5], "std": [58.4, 57.1, 57.4]}
    with pytest.raises(InputError, match=r"a mean of 123.7 does not fit values in \[0, 1\]: .* divide them by 255"):
        load(**bytes_scale)
    with pytest.raises(InputError, match=r"a std of 1.5 does not fit values in \[0, 1\]"):
        load(std=[1.5])
    assert load(mean=[1], std=[1]).classifier.mean.unique().tolist() == [1]
    loaded = load(**bytes_scale, value_range=(0, 255))
    pixels = torch.stack([Preprocess(loaded.classifier.data_config).load(path) for path in two_files])
    assert torch.equal(loaded.explain(255 * pixels).encoded.image, 255 * pixels)
    with pytest.raises(InputError, match=r"images have values in \[0, 1\], .* not in \[0, 255\]"):
        loaded.explain(two_files)


def test_images_without_a_file_are_named_by_their_content(two_files, tmp_path):
    loaded = load()
    first, second = (Image.open(path) for path in two_files)
    assert len(loaded.explain([first, second]).save(tmp_path / "out", samples=2)) == 2
    assert not loaded.explain(second).save(tmp_path / "out", samples=2)
    assert len(list((tmp_path / "out").glob("image-*_mask.safetensors"))) == 2


def closed_image(path) -> Image.Image:
    with Image.open(path) as image:
        return image


def damaged_image(path) -> Image.Image:
    content = path.read_bytes()
    return Image.open(io.BytesIO(content[: len(content) // 2]))


@pytest.mark.parametrize("image", [closed_image, damaged_image, lambda path: Image.new("RGB", (0, 0))])
def test_images_without_pixels_get_one_line(two_files, image):
    with pytest.raises(InputError, match=r"^the image: not a readable image \(\w+: "):
        load().explain(image(two_files[0]))
