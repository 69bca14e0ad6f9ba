"""Names of classes as people have them, and the class that a target means."""

import json

import numpy as np
import pytest
from timm.data import ImageNetInfo

from amortex.classifiers.class_names import class_index, known_class_names, read_class_names, short_names
from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from helpers.networks import TinyNet

IMAGENET = list(ImageNetInfo("imagenet-1k").label_descriptions())
LEAVES = ["Pepper,_bell___Bacterial_spot", "Pepper,_bell___healthy", "Tomato___healthy", "Tomato_healthy_mosaic"]
NUMBERS = ["1", "10", "2"]  # the order of a folder listing


def means(target, names, classes: int | None = None) -> int:
    return class_index(target, names, classes or len(names), "net")


def test_a_whole_name_means_its_class_whatever_it_is_part_of():
    assert [means(name, LEAVES) for name in LEAVES] == [0, 1, 2, 3]
    assert [means(name, IMAGENET) for name in ("tabby, tabby cat", "tabby", "maillot", "maillot, tank suit")] == [
        281, 281, 638, 639,
    ]  # fmt: skip
    assert [means(letter, ["A", "a", "aa"]) for letter in ("A", "a", "AA")] == [0, 1, 2]


def test_shown_names_mean_the_class_that_they_are_shown_for():
    assert short_names(LEAVES) == LEAVES
    shown = short_names(IMAGENET)
    assert (shown[281], shown[639], shown[638]) == ("tabby", "maillot, tank suit", "maillot")
    assert short_names(["a", ", b", ""]) == ["a", ", b", ""]
    cranes = [index for index, name in enumerate(IMAGENET) if name == "crane"]  # the bird and the machine
    assert [means(name, IMAGENET) for index, name in enumerate(shown) if index not in cranes] == [
        index for index in range(1000) if index not in cranes
    ]


def test_several_classes_are_listed_by_names_that_differ():
    with pytest.raises(InputError, match=r"281 \(tabby cat\), 282 \(tiger cat\), .* and 2 more; give one of the ind"):
        means("cat", IMAGENET)
    with pytest.raises(InputError, match=r"0 \(Pepper,_bell___Bacterial_spot\), 1 \(Pepper,_bell___healthy\);"):
        means("pepper", LEAVES)


def test_numbers_that_are_names_and_indices_of_other_classes_are_refused_with_both_readings():
    assert [means(text, NUMBERS) for text in ("index:1", "name:1", "index: 2", "name:2")] == [1, 0, 2, 2]
    assert means("2", NUMBERS) == 2  # both readings
    assert means("10", NUMBERS) == 1  # no index
    assert means("0", NUMBERS) == 0  # no name
    with pytest.raises(InputError, match=r"index of class 1 \(10\), .* name of class 0 \(1\): give index:1 or name:1"):
        means("1", NUMBERS)
    folders = sorted(map(str, range(12)))  # 0, 1, 10, 11, 2, ...
    with pytest.raises(InputError, match=r"index of class 10 \(8\), and the name of class 2 \(10\)"):
        means("10", folders)
    with pytest.raises(InputError, match=r"index of class 1 \(b\), and the name of class 2 \(1, one\)"):
        means("1", ["a", "b", "1, one"])


def test_an_empty_target_means_no_class():
    for target in ("", "  ", "name:"):
        with pytest.raises(InputError, match="the target is empty"):
            means(target, IMAGENET)


def test_integers_are_indices_and_other_numbers_nothing():
    assert [means(target, NUMBERS) for target in (1, np.int64(1), np.uint8(2))] == [1, 1, 2]
    for target in (1.0, np.float32(2), True, None, float("nan"), [1]):
        with pytest.raises(InputError, match=r"a target is a class index \(an integer\) or a name, not"):
            means(target, NUMBERS)
    with pytest.raises(InputError, match="gives no index"):
        means("index:one", NUMBERS)
    with pytest.raises(InputError, match="class 3 does not exist"):
        means("index:3", NUMBERS)
    with pytest.raises(InputError, match="no class names"):
        means("name:1", None, 3)


def test_tables_are_read_in_the_order_of_their_indices(tmp_path):
    expected = ["cat", "dog", "eel"]
    (tmp_path / "id2label.json").write_text(json.dumps({"1": "dog", "0": "cat", "2": "eel"}))
    config = {"model_type": "vit", "id2label": {"0": "cat", "1": "dog", "2": "eel"}, "label2id": {"cat": 0}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "list.json").write_text(json.dumps(expected))
    (tmp_path / "names.txt").write_text("\n".join(expected))
    for names in (
        {0: "cat", 2: "eel", 1: "dog"}, expected, dict(enumerate(expected)).values(), np.array(expected),
        config, *tmp_path.iterdir(),
    ):  # fmt: skip
        assert read_class_names(names) == expected
    assert read_class_names([1, 10, 2]) == NUMBERS
    assert read_class_names({"0": 7, 1: 8}) == ["7", "8"]
    model = TinyNet(num_classes=3)
    model.pretrained_cfg = {"label_names": {"1": "n2", "0": "n1", "2": "n3"}, "label_descriptions": {"n2": "dog"}}
    assert known_class_names(model) == ["n1", "dog", "n3"]


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ({1: "cat", 2: "dog"}, "needs a name for every index, and lacks 0$"),
        ({0: "cat", 3: "dog"}, "lacks 1, 2$"),
        ({0: "cat", "1000000000": "dog"}, "lacks 1, 2, 3, 4, 5, ...$"),
        ({"cat": 0, "dog": 1}, "from names to indices: invert it"),
        ({"cat": "dog"}, "'cat' is no index"),
        ({-1: "cat", 0: "dog"}, "-1 is no index"),
        ({0: "cat", "0": "dog"}, "has some index twice"),
        ({False: "cat", True: "dog"}, "False is no index"),
        ({0: ["n01440764", "tench"]}, "texts or integers, not \\['n01"),
        (["cat", None], "texts or integers, not None"),
        ([0.0, 1.0], "texts or integers, not 0.0"),
        ({"cat", "dog"}, "not set"),
        (5, "not int"),
    ],
)
def test_names_that_do_not_fit_are_refused_before_anything_is_computed(names, why):
    with pytest.raises(InputError, match=why):
        load_classifier(TinyNet(num_classes=2), input_size=32, class_names=names)


def test_one_name_for_one_output_is_refused_with_the_reason():
    with pytest.raises(InputError, match="has one output, which means two classes, but 1 class name was given"):
        load_classifier(TinyNet(num_classes=1), input_size=32, class_names=["cat"])
    with pytest.raises(InputError, match="has 5 classes, but 2 class names were given"):
        load_classifier(TinyNet(), input_size=32, class_names=["cat", "dog"])


def test_files_that_hold_no_names_are_refused(tmp_path):
    for content, why in {
        "{": "cannot read class names",
        "3": "holds no class names",
        "[]": "holds no class names",
    }.items():
        (tmp_path / "names.json").write_text(content)
        with pytest.raises(InputError, match=why):
            read_class_names(tmp_path / "names.json")


def test_a_file_that_is_not_there_is_named_once(tmp_path):
    with pytest.raises(InputError, match=r"^cannot read class names from \S*names.txt: No such file or directory$"):
        read_class_names(tmp_path / "names.txt")


def test_a_classifier_has_names_of_text():
    classifier = load_classifier(TinyNet(num_classes=3), input_size=32, class_names={0: 1, 1: 10, 2: 2})
    assert classifier.class_names == NUMBERS
    assert [classifier.class_name(index) for index in range(3)] == NUMBERS
