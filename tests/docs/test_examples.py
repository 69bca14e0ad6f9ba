"""The examples of the README, of videos, and of the page on file formats run as they stand."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import amortex

ROOT = Path(__file__).parents[2]


def example(page: str) -> str:
    """The page's only Python block."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    return code


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A photograph in the current folder."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(data.chelsea()).save("photo.jpg")


def test_the_readme_s_example_runs(photo, capsys):
    names = {}
    exec(compile(example("README.md"), "README.md", "exec"), names)
    assert "distortion (label_l2)" in capsys.readouterr().out
    assert Path("explanations/mine/photo_panel.png").stat().st_size > 0
    assert names["heatmap"].shape == names["result"].encoded.image.shape


def test_pywavelets_alone_makes_the_explanation_of_a_mask_file(photo):
    amortex.load_explainer(method="cartoonx", steps=2).explain("photo.jpg").save("explanations/cartoonx")
    names = {}
    exec(compile(example("docs/file_formats.md"), "file_formats.md", "exec"), names)
    written = np.asarray(Image.open("explanations/cartoonx/photo_explanation.png")) / 255
    np.testing.assert_allclose(names["picture"], written, rtol=0, atol=0.501 / 255)  # bytes are rounded


def test_the_example_of_videos_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = example("docs/explaining.md").replace('method="cartoonx"', 'method="cartoonx", steps=20')  # instead of 800
    names = {}
    exec(compile(code, "explaining.md", "exec"), names)
    assert "distortion (label_l2)" in capsys.readouterr().out
    assert torch.equal(names["result"].encoded.image[0], names["clip"])  # colours last are understood
    assert np.load("explanations/clip/clip_kept.npy").shape == (1, 3, 8, 24, 24)
    assert Path("explanations/clip/clip_panel.png").stat().st_size > 0
