"""Volumes: read by name and number, scaled to [0, 1], resized; nothing is unpickled, and bombs are refused."""

import gzip
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from numpy.lib import format as numpy_format

from amortex.core.errors import InputError
from amortex.core.modalities import MODALITIES
from amortex.io.finding import find_files
from amortex.io.members import arrays_of, split_member
from amortex.io.volumes import npy_bytes
from helpers.volumes import SIZE, reader


def volume(*leading, seed=0):
    return np.random.default_rng(seed).random((*leading, *SIZE)).astype(np.float32)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_volumes_are_read_by_name_and_number(tmp_path, compressed, order):
    many, single = np.asarray(volume(7), order=order), np.asarray(volume(seed=1), order=order)
    file = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(file, many=many, single=single, labels=np.arange(7))
    for index in (6, 0, 3):
        np.testing.assert_array_equal(reader().load(f"{file}:many[{index}]")[0], many[index])
    np.testing.assert_array_equal(reader().load(f"{file}:single")[0], single)
    assert arrays_of(f"{file}:many") == [f":many[{index}]" for index in range(7)]
    for ending, message in (
        ("", "2 arrays of volumes"), (":none", "no array none"), (":many", "say which"), (":many[7]", "no number 7"),
        (":single[0]", "one volume"), (":labels", "3 axes"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            reader().load(f"{file}{ending}")


def test_names_of_arrays_may_hold_anything(tmp_path):
    np.savez(tmp_path / "a.npz", **{"x/y[0]:é": volume(2)})
    first, second = find_files([str(tmp_path)], MODALITIES["volume"])
    assert [source.name.as_posix() for source in (first, second)] == ["a_x_y_0__é_0.npz", "a_x_y_0__é_1.npz"]
    np.testing.assert_array_equal(reader().load(second.path)[0], volume(2)[1])


def test_no_volumes_at_all_are_an_error_and_not_passed_over(tmp_path):
    np.save(tmp_path / "a.npy", volume(0))
    (source,) = find_files([str(tmp_path)], MODALITIES["volume"])
    with pytest.raises(InputError, match="is empty"):
        reader().load(source.path)


def test_files_of_one_array_need_no_name(tmp_path):
    np.save(tmp_path / "a.npy", volume())
    np.save(tmp_path / "b.npy", volume(2))
    np.savez(tmp_path / "c.npz", x=volume(), y=np.arange(3))
    np.testing.assert_array_equal(reader().load(tmp_path / "a.npy")[0], volume())
    np.testing.assert_array_equal(reader().load((tmp_path / "a.npy").read_bytes())[0], volume())
    np.testing.assert_array_equal(reader().load(f"{tmp_path}/b.npy[1]")[0], volume(2)[1])
    np.testing.assert_array_equal(reader().load(tmp_path / "c.npz")[0], volume())
    assert arrays_of(tmp_path / "a.npy") == [""]
    assert arrays_of(tmp_path / "b.npy") == ["[0]", "[1]"]


def test_a_file_of_that_very_name_is_itself(tmp_path):
    file = tmp_path / "a.npy[3]"
    file.touch()
    assert split_member(file) == (str(file), None, None)


def test_nifti_is_what_nibabel_reads(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    for ending in ("nii", "nii.gz"):
        nibabel.save(nibabel.Nifti1Image(volume(), np.eye(4)), tmp_path / f"a.{ending}")
        np.testing.assert_array_equal(reader().load(tmp_path / f"a.{ending}")[0], volume())


def test_nifti_files_that_claim_terabytes_are_refused(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(volume(), np.eye(4)), tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[42:48] = struct.pack("<3h", 30000, 30000, 30000)
    (tmp_path / "a.nii").write_bytes(content)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(content))
    for ending in ("nii", "nii.gz"):
        with pytest.raises(InputError, match="claims 27,000,000,000,000 values"):
            reader().load(tmp_path / f"a.{ending}")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.uint8([[[0, 51, 255]]]), [0, 0.2, 1]),
        (np.uint8([[[0, 1, 1]]]), [0, 1, 1]),
        (np.array([[[True, False, True]]]), [1, 0, 1]),
        (np.int16([[[-100, 0, 300]]]), [0, 0.25, 1]),
        (np.array([[[0.25, 0.5, 0.75]]]), [0.25, 0.5, 0.75]),
        (np.array([[[-1.0, 0.0, 1.0]]], ">f8"), [0, 0.5, 1]),
        (np.array([[[7.0, 7.0, 7.0]]]), [1, 1, 1]),
        (np.array([[[0, 1, 1]]]), [0, 1, 1]),
    ],
)
def test_values_become_zero_to_one_by_one_rule(values, expected):
    torch.testing.assert_close(reader(size=(1, 1, 3))(values)[0, 0, 0], torch.tensor(expected, dtype=torch.float32))


def test_labels_of_8_bit_are_told_from_grey_values(caplog):
    read = reader(size=(1, 1, 3))
    for largest in (1, 15, 16):
        read(np.uint8([[[0, 1, largest]]]))
    read.give_notices()
    assert caplog.messages == [
        "1 of 3 volumes of 8 bit hold no value above 15, and become nearly black: give labels as floats in [0, 1]"
    ]


def test_other_sizes_are_resized_and_grey_is_repeated():
    coarse = np.zeros((2, 2, 2))
    coarse[1] = 1
    fine = reader(3, (4, 4, 4))(coarse)
    assert fine.shape == (3, 4, 4, 4)
    torch.testing.assert_close(fine[2, :, 1, 1], torch.tensor([0, 0.25, 0.75, 1]))  # linear between voxel centres
    torch.testing.assert_close(reader(size=(2, 2, 2))(fine.numpy())[0, :, 0, 0], torch.tensor([0.125, 0.875]))
    with pytest.raises(InputError, match="2 channels, the classifier takes 3"):
        reader(3)(volume(2))


def test_what_is_no_volume_says_so(tmp_path):
    for values in (np.full(SIZE, np.nan), np.full(SIZE, np.inf), np.zeros((0, 2, 2)), np.zeros((2, 2)),
                   np.zeros(SIZE, complex), np.full(SIZE, "a")):  # fmt: skip
        np.save(tmp_path / "a.npy", values)
        with pytest.raises(InputError) as caught:
            reader().load(tmp_path / "a.npy")
        assert "a.npy" in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        reader().load(tmp_path / "nowhere.npz")


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.full(SIZE, Bomb(), object))
    np.save(tmp_path / "a.npy", np.full(SIZE, Bomb(), object))
    for file in ("a.npz", "a.npz:x", "a.npy"):
        with pytest.raises(InputError, match="holds Python objects"):
            reader().load(tmp_path / file)


def test_headers_that_claim_terabytes_are_refused(tmp_path):
    header = io.BytesIO()
    numpy_format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**4, 10**4, 10**4)}
    )
    (tmp_path / "a.npy").write_bytes(header.getvalue() + bytes(1000))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(10**6))
    for file in ("a.npy", "a.npz"):
        with pytest.raises(InputError, match="claims 1,000,000,000,000 values"):
            reader().load(tmp_path / file)


@pytest.mark.parametrize("values", ["a" * 10**6, np.zeros((), [("x", "f4", 10**6)]), 1j])
def test_what_is_no_number_is_refused_before_it_is_read(tmp_path, values):
    np.savez_compressed(tmp_path / "a.npz", x=np.full((1, 2, 2), values))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"a\.npz: a volume holds numbers, not"):
            reader().load(tmp_path / "a.npz")
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20  # the first two arrays have 16 MB
    finally:
        tracemalloc.stop()


def test_damaged_archives_end_in_one_line():
    buffer, random = io.BytesIO(), np.random.default_rng(1)
    np.savez_compressed(buffer, x=volume(), y=np.arange(3))
    content, lines = np.frombuffer(buffer.getvalue(), np.uint8), []
    for _ in range(200):
        damaged = content.copy()
        damaged[random.integers(0, len(damaged), 3)] = random.integers(0, 256, 3)
        try:
            assert reader().load(damaged.tobytes()).isfinite().all()
        except InputError as error:
            lines += str(error).splitlines()
    assert 20 < len(lines) < 200
    assert all(line.startswith(("bytes", "the volume")) for line in lines)


def test_written_volumes_are_read_back_to_the_last_bit():
    signal = torch.randn(1, *SIZE)
    np.testing.assert_array_equal(np.load(io.BytesIO(npy_bytes(signal))), signal[0])
    colours = torch.rand(2, *SIZE)
    torch.testing.assert_close(reader(2).load(npy_bytes(colours)), colours, rtol=0, atol=0)
