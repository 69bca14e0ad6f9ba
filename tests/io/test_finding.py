"""Files of each kind of signals are found by their endings; what a run has written is not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amortex.core.errors import InputError
from amortex.core.modalities import MODALITIES
from amortex.io.finding import find_files, kind_of, kinds_in


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(folder, modality: str) -> list[str]:
    return [source.name.as_posix() for source in find_files([str(folder)], MODALITIES[modality])]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.WAV", "audio"), ("a.flac", "audio"), ("a.mp3", "audio"), ("a.npz:x[3]", "volume"), ("a.nii.gz", "volume"),
        ("a.npy", "volume"), ("a.jpg", "image"), ("a.PNG", "image"), ("a.txt", None), ("a", None), ("a.gz", None),
    ],
)  # fmt: skip
def test_endings_tell_the_kind(name, kind):
    assert kind_of(name) == kind


def test_no_ending_is_of_two_kinds():
    photographs = {ending for ending, name in Image.registered_extensions().items() if name in Image.OPEN}
    assert not photographs & {".wav", ".flac", ".ogg", ".mp3", ".npy", ".npz", ".nii"}


def test_a_folder_of_several_kinds_gives_the_one_that_is_asked_for(tmp_path):
    touch(tmp_path, "b.wav", "in/a.ogg", "c.jpg", "d.nii", "e.txt", ".hidden.wav", ".git/f.wav")
    assert found(tmp_path, "audio") == ["b.wav", "in/a.ogg"]
    assert found(tmp_path, "image") == ["c.jpg"]
    assert found(tmp_path, "volume") == ["d.nii"]
    assert kinds_in([str(tmp_path)]) == {"image": 1, "audio": 2, "volume": 1}


def test_results_are_never_inputs(tmp_path):
    touch(tmp_path, "a.wav", "a_kept.wav", "a_dropped.wav", "a_panel.png", "a_mask.safetensors", "b_kept.wav")
    touch(tmp_path, "v.nii", "v_kept.npy", "v_mask.safetensors")
    assert found(tmp_path, "audio") == ["a.wav", "b_kept.wav"]  # b has no mask: it is no result
    assert found(tmp_path, "volume") == ["v.nii"]
    with pytest.raises(InputError, match="no images in"):
        found(tmp_path, "image")


def test_each_volume_of_an_archive_is_an_input(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 4, 4)), y=np.zeros(2))
    np.save(tmp_path / "b.npy", np.zeros((3, 3, 3)))
    (tmp_path / "c.npz").write_text("damaged")
    sources = list(find_files([str(tmp_path)], MODALITIES["volume"]))
    labels = [source.label.removeprefix(f"{tmp_path}/") for source in sources]
    assert labels == ["a.npz:x[0]", "a.npz:x[1]", "b.npy", "c.npz"]
    assert [source.name.name for source in sources] == ["a_x_0.npz", "a_x_1.npz", "b.npy", "c.npz"]
    (single,) = find_files([f"{tmp_path}/a.npz:x[1]"], MODALITIES["volume"])
    assert single.label == f"{tmp_path}/a.npz:x[1]"
    for wrong in ("z", "x[0:2]", "y[0]"):  # the reader's message needs what was asked for
        (source,) = find_files([f"{tmp_path}/a.npz:{wrong}"], MODALITIES["volume"])
        assert source.label == f"{tmp_path}/a.npz:{wrong}"
    with pytest.raises(InputError, match="no such file"):
        list(find_files([f"{tmp_path}/nowhere.npz:x"], MODALITIES["volume"]))
