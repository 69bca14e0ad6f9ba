"""Training data: what is shown of which source, and what is left out."""

import io
import logging
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from amortex.core.errors import InputError
from amortex.data import SignalData
from amortex.data.photographs import EMBEDDED, HELD_OUT
from amortex.data.sources import decode
from amortex.data.validation import evenly_spaced
from amortex.io.images import Preprocess
from helpers.data import CONFIG, batches, make, picture, same, shown, validated

# what is shown


def test_embedded_photographs_train_and_the_bundled_ones_are_held_out():
    data = make()
    batch = data.on_after_batch_transfer(batches(data, 1)[0], 0)
    assert batch["image"].shape == (2, 3, 16, 16)
    assert batch["image"].dtype == torch.float32
    assert 0 <= batch["image"].min() < batch["image"].max() <= 1
    assert batch["index"].tolist() == [0, 1]
    source = data.train_source.source
    assert [source.name(i) for i in range(len(source))] == list(EMBEDDED)
    assert not set(EMBEDDED) & set(HELD_OUT)
    val = validated(data)
    assert {name.split("#")[0] for name in val["name"]} == set(HELD_OUT)
    assert len(set(val["name"])) == len(val["name"]) == 12
    assert val["index"] == list(range(12))
    assert validated(make(val_images=2))["name"] == list(HELD_OUT)
    ten = make(val_images=10)  # as in the quickstart, whose closing line is of both photographs
    chosen = evenly_spaced(ten.val_source.source, ten.preparation, 2)
    assert torch.equal(chosen, validated(ten)["image"][[0, 5]])
    assert [validated(ten)["name"][index].split("#")[0] for index in (0, 5)] == list(HELD_OUT)


def test_validation_images_are_preprocessed_as_for_an_explanation(folder):
    data = make(folder, input_size=None)
    data.configure(CONFIG)
    val = validated(data)
    expected = [Preprocess(CONFIG).load(folder / name) for name in val["name"]]
    assert torch.equal(val["image"], torch.stack(expected))


def test_constructor_overrides_the_classifier(folder):
    data = SignalData(str(folder), input_size=24, data_config={"interpolation": "nearest"})
    data.configure({**CONFIG, "mean": (0.5,)})
    assert data.data_config["input_size"] == (3, 24, 24)
    assert data.data_config["interpolation"] == "nearest"
    assert data.data_config["crop_pct"] == 0.9
    data.configure({**CONFIG, "input_size": (1, 8, 8)})
    data.setup()
    assert next(iter(data.train_dataloader()))["image"].shape == (8, 1, 24, 24)
    assert next(iter(data.val_dataloader()))["image"].shape == (5, 1, 24, 24)


def test_training_and_validation_are_disjoint(folder):
    data = make(folder, val_images=3)
    assert shown(data, 7) != shown(data, 14)[14:]  # each epoch in an order of its own
    names = validated(data)["name"]
    held_out = {int(Path(name).stem) for name in names}
    assert len(names) == len(held_out) == 3
    assert sorted(shown(data, 7)) == sorted([*set(range(10)) - held_out] * 2)
    assert validated(make(folder, val_images=3))["name"] == names
    assert validated(make(folder, val_images=3, seed=1))["name"] != names


def test_a_hold_out_of_half_the_images_says_so(folder, caplog):
    assert len(validated(make(folder, val_images=5))["name"]) == 5
    assert not caplog.records
    assert len(validated(make(folder, val_images=99))["name"]) == 5
    (record,) = caplog.records
    assert record.getMessage().startswith("validating on 5 of 10 images, not 99: at most half")


def test_a_validation_folder_within_the_training_folder_is_left_out(folder):
    data = make(folder, val=str(folder / "a"), val_images=2)
    assert validated(data)["name"] == ["0.png", "4.png"]
    assert set(shown(data, 8)) == set(range(10)) - {0, 4}


def test_links_are_no_further_images(folder, tmp_path):
    for number in range(2):
        (tmp_path / f"link{number}.png").symlink_to(folder / "a" / "0.png")
    with pytest.raises(InputError, match="one image is too few"):
        make(tmp_path)


def test_folders_and_tar_files_through_timm(folder, tmp_path):
    whole = make("folder", train_root=str(folder))
    assert len(whole.train_source.source) == len(validated(whole)["name"]) == 5
    (tmp_path / "train").symlink_to(folder)
    (tmp_path / "validation").symlink_to(folder)
    split = make("folder", train_root=str(tmp_path), val="folder")
    assert sorted(shown(split, 5)) == list(range(10))
    assert validated(split)["name"][:2] == ["a/0.png", "a/2.png"]
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(folder, "")
    assert len(set(shown(make(tmp_path / "all.tar"), 8))) == 5


def test_imagenette_from_its_folder(tmp_path):
    for split, number in (("train", 1), ("val", 2)):
        (tmp_path / "imagenette2-160" / split / "n01440764").mkdir(parents=True)
        picture(number).save(tmp_path / "imagenette2-160" / split / "n01440764" / "x.JPEG", quality=100)
    data = make("torch/imagenette-160px", train_root=str(tmp_path))
    assert len(data.train_source.source) == 1
    assert validated(data)["name"] == ["imagenette2-160/val/n01440764/x.JPEG"]


def test_shards_in_a_stream(folder, tmp_path):
    pytest.importorskip("webdataset")
    for shard in range(2):
        with tarfile.open(tmp_path / f"x-{shard}.tar", "w") as tar:
            for number in range(shard, 10, 2):
                content = (folder / "ab"[shard] / f"{number}.png").read_bytes()
                for ending, data in (("png", content), ("cls", b"0")):
                    info = tarfile.TarInfo(f"{number}.{ending}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    options = {"train_root": str(tmp_path), "train_split": "x-{0..1}.tar|10", "val_split": "x-1.tar", "val_images": 3}
    data = make("wds/x", **options)
    assert sorted(shown(data, 5)) == list(range(10))
    assert [int(255 * image[1, 0, 0].item() + 0.5) for image in validated(data)["image"]] == [1, 3, 5]
    parallel = make("wds/x", workers=2, **options)
    assert set(shown(parallel, 10)) == set(range(10))
    assert [n for batch in batches(parallel, 4) for n in batch["index"].tolist()] == list(range(8))
    assert same(batches(parallel, 4), batches(parallel, 4))
    with pytest.raises(InputError, match="fewer workers"):
        batches(make("wds/x", workers=3, **options), 6)


# broken and bad input


def test_broken_files_are_left_out_and_named_once(folder, tmp_path, caplog):
    for number in range(6):
        picture(number).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[:200])
    (tmp_path / "4.png").write_text("no image")
    with caplog.at_level(logging.WARNING):
        data = make(tmp_path, val=str(folder))
        numbers = shown(data, 9)
    assert sorted(numbers) == sorted([0, 1, 3, 3, 5, 5] * 3)  # the next one stands in
    assert sorted(record.getMessage()[:36] for record in caplog.records) == [
        "2.png: not a readable image, left ou", "4.png: not a readable image, left ou",
    ]  # fmt: skip
    assert same(batches(data, 6), batches(make(tmp_path, val=str(folder), workers=2), 6))


def damaged(folder: Path) -> Path:
    """Six files, of which the first and the last can be read."""
    for number in range(6):
        picture(number).save(folder / f"{number}.jpg", quality=100)
    (folder / "1.jpg").write_text("no image")
    (folder / "2.jpg").write_bytes(b"")
    (folder / "3.jpg").write_bytes((folder / "3.jpg").read_bytes()[:900])  # Pillow could decode a part of it
    (folder / "4.jpg").write_bytes((folder / "4.jpg").read_bytes()[:100])
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_validation_images_that_cannot_be_read_are_left_out_and_nothing_stands_in(folder, tmp_path, workers):
    data = make(folder, val=str(damaged(tmp_path)), workers=workers)
    loader = data.val_dataloader()
    for _ in range(2):  # two epochs; the second batch has no image at all
        assert [(batch["name"], batch["index"].tolist()) for batch in loader] == [(["0.jpg"], [0]), (["5.jpg"], [5])]
    assert sorted(data.left_out) == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert "truncated" in data.left_out["3.jpg"]


def test_validation_images_that_are_left_out_are_named_once(folder, tmp_path, caplog):
    data = make(folder, val=str(damaged(tmp_path)))
    for _ in range(2):
        validated(data)
    assert [record.getMessage()[:36] for record in caplog.records] == [
        f"{number}.jpg: not a readable image, left ou" for number in (1, 2, 3, 4)
    ]


def test_evenly_spaced_images_are_those_that_can_be_read(folder, tmp_path):
    data = make(folder, val=str(damaged(tmp_path)))
    source, read = data.val_source.source, validated(data)["image"]
    assert torch.equal(evenly_spaced(source, data.preparation, 2), read)  # the second part begins with a broken file
    assert torch.equal(evenly_spaced(source, data.preparation, 99), read)
    assert torch.equal(evenly_spaced(source, data.preparation, 1), read[:1])


def test_nothing_readable_is_one_line(folder, tmp_path, caplog):
    for name in "ab":
        (tmp_path / f"{name}.png").write_text("no image")
    for options in ({"train": tmp_path, "val": str(folder)}, {"train": folder, "val": str(tmp_path)}):
        with pytest.raises(InputError, match=r"none of 2 images can be read; the first: a\.png \(Unident") as error:
            make(**options)
        assert "\n" not in str(error.value)
    assert not caplog.records


def test_decode_gives_what_a_viewer_shows(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert decode(str(tmp_path / "clear.png")).getpixel((0, 0)) == (255, 255, 255)
