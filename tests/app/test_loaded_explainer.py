"""What an explainer of `import amortex` gives back: for which classes, as text, as panels, in files."""

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


def test_a_result_holds_those_of_its_inputs(two_files, tmp_path):
    explained = load().explain(two_files)
    measured = explained.certificate(4)
    first, second = explained
    assert first.certificate(4).distortion.tolist() == measured.distortion[:1].tolist()
    assert second.row(0) == explained.row(1)
    assert torch.equal(explained[-1].mask, explained.mask[1:])
    assert repr(explained[::-1]).splitlines() == repr(explained).splitlines()[::-1]
    assert second.save(tmp_path / "out")[0]["file"] == str(two_files[1])
    with pytest.raises(IndexError):
        explained[2]


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


def test_two_classes_of_one_image_do_not_replace_each_other(two_files, tmp_path):
    loaded = load(rate=0.1)
    with pytest.raises(InputError, match="one class of each input"):
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
    assert title_lines({**explained.row(0), "passes": 1.0}, ["passes"])[1].endswith("    1 pass")


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


def test_the_steps_of_a_method_are_reported(two_files):
    seen = []
    explained = load("cartoonx", steps=3, samples=1).explain(two_files, on_step=lambda step, mask: seen.append(step))
    assert seen == [1, 2, 3]
    assert torch.equal(explained.mask, load("cartoonx", steps=3, samples=1).explain(two_files).mask)
