"""What an explainer of `import amortex` takes, and what it gives back."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import amortex
from amortex.core.errors import InputError
from amortex.explainers.presets import SelectionConfig
from amortex.explaining.rendering import title_lines
from amortex.io.images import Preprocess
from helpers.explaining import explain
from helpers.library import NAMES, load
from helpers.releases import write_release


def test_a_certificate_that_is_saved_has_the_draws_that_were_asked_for(two_files, tmp_path):
    explained = load().explain(two_files)
    explained.certificate(32)
    row, *_ = explained.save(tmp_path / "out", samples=4)
    four = explained.certificate(4)
    assert row["ci_high"] == pytest.approx(four.ci_high[0].item())
    assert four.ci_high[0] != explained.certificate(32).ci_high[0]


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
    for image in (contents[1], arrays[1]):
        assert torch.equal(loaded.explain(image).encoded.image, expected.encoded.image[1:])
    floats = [array / 255 for array in arrays]
    assert torch.equal(loaded.explain(floats).mask, expected.mask)
    assert torch.equal(loaded.explain(floats[1].astype(np.float32)).encoded.image, expected.encoded.image[1:])
    grey = loaded.explain(arrays[0][..., 0]).encoded.image
    assert torch.equal(grey[:, 0], grey[:, 2])


def test_classes_by_index_name_and_for_each_image(two_files):
    loaded = load(class_names=NAMES)
    for target, classes in (("honey", [1, 1]), (3, [3, 3]), (["eel", 0], [4, 0]), (torch.tensor([2, 3]), [2, 3]),
                            (torch.tensor(2), [2, 2]), (np.int64(4), [4, 4]), (np.array([1, 3]), [1, 3]),
                            ([np.str_("cow"), torch.tensor(1)], [2, 1])):  # fmt: skip
        assert loaded.explain(two_files, target).encoded.target.tolist() == classes
    with pytest.raises(InputError, match=r"no class of helpers.networks.TinyNet is named 'cat'"):
        loaded.explain(two_files, "cat")
    with pytest.raises(InputError, match="class 5 does not exist"):
        loaded.explain(two_files, 5)
    for target, shown in (
        (b"1", "b'1'"),
        ({1}, "{1}"),
        ({1: "a"}, "{1: 'a'}"),
        (1.0, "1.0"),
        (torch.tensor([1.0, 2.0]), "1.0"),
        (True, "True"),
        (float("nan"), "nan"),
    ):
        with pytest.raises(InputError, match=rf"a target is a class index \(an integer\) or a name, not {shown}"):
            loaded.explain(two_files, target)
    with pytest.raises(InputError, match="3 targets were given for 2 images"):
        loaded.explain(two_files, [1, 2, 3])


def test_a_trained_explainer_measures_rates_for_classes_that_are_not_predicted(tmp_path, two_files):
    folder = write_release(tmp_path / "release", learned_steps=2)
    loaded = amortex.load_explainer(folder, classifier="helpers.networks.TinyNet", device="cpu")
    unasked = loaded.explain(two_files)
    predicted = unasked.encoded.target.tolist()
    assert unasked.extra["passes"].tolist() == [4 + 3 * loaded.explainer.learned_steps] * 2
    asked = loaded.explain(two_files, predicted)  # the same, after a pass that tells what is predicted
    assert torch.equal(asked.mask, unasked.mask)
    assert asked.extra["passes"].tolist() == (unasked.extra["passes"] + 1).tolist()
    other = loaded.explain(two_files, [predicted[0], (predicted[1] + 1) % 5])
    torch.testing.assert_close(other.mask[0], unasked.mask[0], rtol=0, atol=1e-4)
    assert other.extra["passes"][0] == unasked.extra["passes"][0] + 1
    assert other.extra["passes"][1] >= 4 + SelectionConfig().samples
    assert other.settings["explainer_other_select_rate"] == 1
    refining = write_release(tmp_path / "refining", learned_steps=2)
    loaded = amortex.load_explainer(refining, classifier="helpers.networks.TinyNet", learned_steps=2, device="cpu")
    with pytest.raises(InputError, match="refinement is learned for predicted classes"):
        loaded.explain(two_files, 1)


@pytest.mark.parametrize(
    ("images", "why"),
    [
        ([], "there are no images"),
        ("/nowhere.png", "no such file"),
        (__file__, "not a readable image"),
        ([3], "not int: of \\(image, label\\) pairs, give the images"),
        ([(Image.new("RGB", (40, 40)), 3)], "not tuple: of \\(image, label\\) pairs"),
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
    with pytest.raises(InputError, match=r"photographs have values in \[0, 1\], .* not in \[0, 255\]"):
        loaded.explain(two_files)


def test_two_classes_of_one_image_do_not_replace_each_other(two_files, tmp_path):
    loaded = load(rate=0.1)
    with pytest.raises(InputError, match="one class of each image"):
        loaded.explain([two_files[0], two_files[0]], [1, 2]).save(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(loaded.explain([two_files[0], two_files[0]]).save(tmp_path / "out", samples=2)) == 1


def test_a_gradient_that_is_no_number_is_an_error(two_files, tmp_path):
    explained = load(rate=0.1).explain(two_files)
    explained.relevance[0, 0] = torch.nan
    rows = explained.save(tmp_path / "out", samples=2)
    assert "gradient is not finite" in rows[0]["error"]
    assert not rows[1]["error"]


def test_one_pass_is_a_count_in_the_title(two_files):
    explained = load(rate=0.1).explain(two_files[0])
    assert title_lines({**explained.row(0), "passes": 1.0}, ["passes"])[1].endswith("1 passes")


def test_what_is_saved_is_what_explain_py_writes(two_files, tmp_path):
    options = ("--method", "wam", "--rate", 0.1, "--target", 2, "--seed", 3, "--out", tmp_path / "cli")
    assert explain(*two_files, *options) == 0
    explained = load(rate=0.1, seed=3).explain(two_files, 2)
    rows = explained.save(tmp_path / "library", samples=4)
    assert [row["file"] for row in rows] == list(map(str, two_files))
    ours, theirs = ([json.loads(line) for line in (tmp_path / out / "summary.jsonl").read_text().splitlines()]
                    for out in ("library", "cli"))  # fmt: skip
    assert [{**row, "seconds": 0} for row in ours] == [{**row, "seconds": 0} for row in theirs]
    for name in ("a_mask.safetensors", "b_mask.safetensors"):
        mask, other = (load_file(tmp_path / out / name) for out in ("library", "cli"))
        assert mask.keys() == other.keys()
        assert all(torch.equal(mask[key], other[key]) for key in mask)
    settings, other = (json.loads((tmp_path / out / "settings.json").read_text()) for out in ("library", "cli"))
    assert settings == other
    assert (tmp_path / "library/a_panel.png").is_file()
    assert (tmp_path / "library/a_explanation.png").read_bytes() == (tmp_path / "cli/a_explanation.png").read_bytes()
    assert explained.save(tmp_path / "library", samples=4) == []  # they are there
    with pytest.raises(InputError, match="holds results of other settings"):
        explained.save(tmp_path / "library", samples=5)


def test_images_without_a_file_are_named_by_their_content(two_files, tmp_path):
    loaded = load()
    first, second = (Image.open(path) for path in two_files)
    assert len(loaded.explain([first, second]).save(tmp_path / "out", samples=2)) == 2
    assert not loaded.explain(second).save(tmp_path / "out", samples=2)
    assert len(list((tmp_path / "out").glob("image-*_mask.safetensors"))) == 2


def test_an_explanation_says_what_is_known_and_shows_its_panels(two_files):
    explained = load(class_names=NAMES).explain(two_files)
    before = repr(explained).splitlines()
    assert len(before) == len(explained) == 2
    for text, path, target in zip(before, two_files, explained.encoded.target.tolist(), strict=True):
        assert text.startswith(f"{path}: {NAMES[target].split(',')[0]} ")
        assert "rate 5.0" in text
        assert "not measured yet" in text
    certificate = explained.certificate(samples=8)
    assert explained.certificate(samples=8) is certificate
    after = repr(explained).splitlines()
    for text, distortion in zip(after, certificate.distortion.tolist(), strict=True):
        assert f"distortion (label_l2) {distortion:.4f} [" in text
        assert "retained" in text
    with pytest.raises(InputError, match="at least 2 samples"):
        explained.certificate(samples=1)
    single = load().explain(two_files[0])
    single.certificate(samples=8)
    sheet, one = (Image.open(io.BytesIO(shown._repr_png_())) for shown in (explained, single))
    assert sheet.format == one.format == "PNG"
    assert sheet.size == (one.width, 2 * one.height)
    assert explained.panel(1).texts[0].get_text().startswith(NAMES[int(explained.encoded.target[1])].split(",")[0])
    assert explained.picture.shape == (2, 1, 32, 32)


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
