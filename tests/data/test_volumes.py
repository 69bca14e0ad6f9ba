"""Training data of volumes: files, archives, shifts, and digits that are made as they are needed."""

import itertools

import numpy as np
import torch

from helpers.data import batches, same, validated
from helpers.signals_data import VOLUME, archive, make, write_volumes


def test_a_folder_of_volumes_is_read_as_for_explanations(tmp_path):
    data = make(VOLUME, write_volumes(tmp_path, 6), val_images=2)
    val = validated(data)
    numbers = [int(name.removesuffix(".npy")) for name in val["name"]]
    assert torch.allclose(val["image"].amax((1, 2, 3, 4)) * 255, torch.tensor(numbers).float())
    shown = {round(float(volume.max()) * 255) for batch in batches(data, 8) for volume in batch["image"]}
    ones = {1: 255}  # of 8 bit, zeros and ones are false and true
    assert shown == {ones.get(number, number) for number in set(range(6)) - set(numbers)}


def test_archives_have_a_split_each_for_training_and_validation(tmp_path):
    arrays = archive(tmp_path / "x3d.npz", train_images=(5, 8, 8, 8), val_images=(3, 8, 8, 8), train_labels=(5, 1))
    data = make(VOLUME, tmp_path / "x3d.npz")
    val = validated(data)
    assert val["name"] == [f"x3d_val{number:05d}" for number in range(3)]
    assert torch.equal(val["image"][:, 0], torch.from_numpy(arrays["val_images"]).float() / 255)
    source = data.train_source.source
    assert len(source) == 5
    other = make(VOLUME, tmp_path / "x3d.npz", train_split="val", val=str(tmp_path / "x3d.npz"), val_split="train")
    assert torch.equal(other.val_source.source.open(0)[0], torch.from_numpy(arrays["train_images"][0]).float() / 255)


def test_a_volume_of_an_archive_that_is_none_is_left_out(tmp_path):
    volumes = np.random.default_rng(0).random((4, 8, 8, 8))
    volumes[1, 0, 0, 0] = np.nan
    np.savez(tmp_path / "x.npz", train_images=volumes, val_images=volumes)
    data = make(VOLUME, tmp_path / "x.npz")
    assert all(batch["image"].isfinite().all() for batch in batches(data, 6))
    assert len(validated(data)["name"]) == 3
    assert list(data.left_out) == ["x_val00001"]


def test_volumes_of_another_size_or_with_channels_become_those_of_the_classifier(tmp_path):
    archive(tmp_path / "x.npz", train_images=(4, 3, 12, 12, 12), val_images=(2, 3, 12, 12, 12))
    data = make(VOLUME, tmp_path / "x.npz")
    assert batches(data, 1)[0]["image"].shape == (2, 1, 8, 8, 8)


def test_shifts_are_small_and_repeat_the_border(tmp_path):
    volume = np.zeros((16, 16, 16), np.uint8)
    volume[8, 8, 8], volume[:, :, 0] = 255, 100
    for number in range(2):
        np.save(tmp_path / f"{number}.npy", volume)
    data = make({**VOLUME, "input_size": (1, 16, 16, 16)}, tmp_path, val_images=1)
    samples = torch.cat([batch["image"] for batch in batches(data, 40)])[:, 0]
    places = {tuple((sample == 1).nonzero()[0].tolist()) for sample in samples}
    assert places <= set(itertools.product((7, 8, 9), repeat=3))
    assert len(places) > 15
    column = round(100 / 255, 4)
    assert {tuple(round(float(value), 4) for value in sample[0, 0, :2]) for sample in samples} == {
        (column, 0), (column, column), (0, 0),
    }  # fmt: skip


def test_digits_are_generated(tmp_path):
    config = {**VOLUME, "input_size": (1, 16, 16, 16)}
    data = make(config, "digits3d", val_images=4)
    assert same(batches(data, 2), batches(make(config, "embedded", val_images=4), 2))
    source = data.train_source.source
    names = {source.name(index).split("#")[0] for index in range(len(source) // source.poses)}
    assert not names & set(validated(data)["name"])
