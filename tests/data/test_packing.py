"""Photographs packed into a tar file: what comes out is what went in, smaller, and training reads it."""

import tarfile

import numpy as np
from PIL import Image

from amortex.app.train_cli import main
from helpers.data import make
from helpers.photographs import photographs


def test_a_packed_folder_holds_the_same_pictures_and_can_be_trained_on(tmp_path, capsys):
    photographs(tmp_path / "in", "b.png", "a.png", "deep/c.png")
    Image.linear_gradient("L").resize((90, 300)).save(tmp_path / "in" / "d.png")
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no image")
    out = tmp_path / "all.tar"
    assert main(["pack", str(tmp_path / "in"), str(out), "--size", "40"]) == 1
    printed = capsys.readouterr()
    assert "4 images" in printed.out
    assert "broken.jpg: not a readable image" in printed.err
    with tarfile.open(out) as tar:
        assert tar.getnames() == [f"{n:08d}.jpg" for n in range(4)]
        last = Image.open(tar.extractfile("00000002.jpg"))
        assert last.size == (40, 133)  # the shorter side is 40; files come before those of subfolders
        expected = Image.open(tmp_path / "in" / "d.png").convert("RGB").resize((40, 133), Image.Resampling.LANCZOS)
        assert np.abs(np.asarray(last, float) - np.asarray(expected, float)).mean() < 2
    data = make(out, val_images=1)
    assert len(data.train_dataloader().dataset.signals.source) == 3
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_cannot_be_packed_leaves_nothing(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no image")
    for arguments, message in (
        ((tmp_path / "in", tmp_path / "all.tar"), "none of the 1 images can be read"),
        ((tmp_path / "in", tmp_path / "all.zip"), "ends in .tar"),
        ((tmp_path / "in", tmp_path / "nowhere" / "all.tar"), "in a folder that exists"),
        ((tmp_path / "none", tmp_path / "all.tar"), "none"),
        ((tmp_path / "in", tmp_path / "all.tar", "--size", 1), "between 32 and 4096"),
    ):
        assert main(["pack", *map(str, arguments)]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
        assert message in line
    assert not list(tmp_path.glob("*.tar"))
