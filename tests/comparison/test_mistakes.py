"""Misclassified images are found by the folders they are in, and explained for both classes."""

import csv

import pytest
from PIL import Image

from amortex.classifiers.folder_labels import FolderLabels
from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from helpers.comparing import compare

OPTIONS = ("--model.sections", "[mistakes]", "--model.mistake_methods", "[wam,saliency]", "--model.gallery", "0",
           "--model.problem.classifier", "helpers.networks.Brightest", "--model.problem.class_names", "names.txt",
           "--data.val_images", "9")  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Images of one colour in folders of colours: two of them in that of another."""
    colours = {"red/a": (200, 20, 20), "red/b": (20, 20, 200), "2/c": (20, 20, 200), "lime_green/d": (200, 20, 20)}
    for name, colour in colours.items():
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), colour).save(path)
    Image.new("RGB", (40, 40), (20, 20, 200)).save(tmp_path / "photos/unlabelled.png")
    (tmp_path / "names.txt").write_text("red\nlime green\nblue\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(folder):
    with open(folder / "report/mistakes.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_misclassified_images_are_explained_for_both_classes(folder):
    assert compare(*OPTIONS) == 0
    found = rows(folder)
    classes = {(row["image"], row["method"], row["role"]): row["class_name"] for row in found}
    expected = {"lime_green/d.png": ("red", "lime green"), "red/b.png": ("blue", "red")}
    assert classes == {
        (image, method, role): names[index]
        for image, names in expected.items()
        for method in ("wam", "saliency")
        for index, role in enumerate(("predicted", "true"))
    }
    for row in found:
        assert (float(row["probability"]) > 0.5) == (row["role"] == "predicted")
    report = (folder / "report/report.md").read_text()
    assert "2 of 4 images in folders that are named after classes are misclassified" in report
    assert "| red/b.png | WAM | red (true) |" in report
    assert "*WAM: blue (predicted) above red (true)*" in report
    assert len(list((folder / "report/gallery").glob("mistake_*.png"))) == 4


def test_their_number_is_bounded(folder):
    assert compare(*OPTIONS, "--model.mistakes", "1") == 0
    assert {row["image"] for row in rows(folder)} == {"lime_green/d.png"}
    assert "2 of 4 images" in (folder / "report/report.md").read_text()


def test_folders_that_are_no_classes_get_one_line(folder, capsys):
    for name in ("red", "2", "lime_green"):
        (folder / "photos" / name).rename(folder / "photos" / f"holiday {name}")
    assert compare(*OPTIONS) == 2
    assert "no folder is named after a class of helpers.networks.Brightest" in capsys.readouterr().err
    assert not (folder / "report").exists()


def test_folders_are_named_by_wordnet_ids_names_synonyms_or_indices():
    labels = FolderLabels(load_classifier(weights="random"))
    names = ("val/n02123045/1.jpg", "Tabby/1.jpg", "tabby_cat/x.jpg", "281/1.jpg", "n02123045/deeper/1.jpg")
    assert [labels.of(name) for name in names] == [281] * 5
    assert labels.of("crane/1.jpg") is None  # a bird, and a machine
    assert labels.of("1.jpg") is None
    with pytest.raises(InputError, match=r"no folder is named after a class.*: \.;"):
        labels.check(["1.jpg"])
