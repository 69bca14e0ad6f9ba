"""Clips: arrays whose last axis has colours, and the frames of a GIF, are volumes, too."""

import numpy as np
import pytest
import torch
from PIL import Image

from amortex.core.errors import InputError
from amortex.core.modalities import MODALITIES
from amortex.io.finding import find_files
from helpers.volumes import SIZE, reader


def test_arrays_whose_last_axis_has_colours_are_clips(tmp_path):
    clips = np.random.default_rng(5).integers(0, 256, (2, *SIZE, 3), dtype=np.uint8)
    np.save(tmp_path / "one.npy", clips[0])
    np.save(tmp_path / "many.npy", clips)
    np.save(tmp_path / "grey.npy", clips[0, ..., :1])
    one, *rest = find_files([str(tmp_path / "one.npy")], MODALITIES["volume"])
    assert not rest
    expected = torch.from_numpy(clips.astype(np.float32) / 255).movedim(-1, 1)
    assert torch.equal(reader(3).load(one.path), expected[0])
    assert torch.equal(reader(3)(clips[0]), expected[0])
    assert torch.equal(reader(3)(np.moveaxis(clips[0], -1, 0)), expected[0])
    for channels in (1, 3):  # also a clip of as many frames as the classifier has channels
        assert torch.equal(reader(channels, (channels, *SIZE[1:]))(clips[0, :channels, ..., :channels]),
                           expected[0, :channels, :channels])  # fmt: skip
    many = [reader(3).load(source.path) for source in find_files([str(tmp_path / "many.npy")], MODALITIES["volume"])]
    assert torch.equal(torch.stack(many), expected)
    assert torch.equal(reader().load(tmp_path / "grey.npy"), expected[0, :1])
    torch.testing.assert_close(reader().load(tmp_path / "one.npy"), expected[0].mean(0, keepdim=True))


def test_frames_of_a_gif_are_a_clip(tmp_path):
    frames = [Image.new("RGB", SIZE[:0:-1], colour) for colour in ("red", "lime", "blue", "white")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    (source,) = find_files([str(tmp_path / "a.gif")], MODALITIES["volume"])
    clip = reader(3).load(source.path)
    assert clip.amax((2, 3)).T.tolist() == clip.amin((2, 3)).T.tolist()
    assert clip[:, :, 0, 0].T.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]
    (tmp_path / "cut.gif").write_bytes((tmp_path / "a.gif").read_bytes()[:40])
    with pytest.raises(InputError, match=r"cut.gif: not a readable volume"):
        reader(3).load(tmp_path / "cut.gif")
