"""Frozen classifiers: normalisation, weights from everywhere, class names."""

import pytest
import torch

from amortex.classifiers.classifier import Classifier
from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from helpers.networks import AnyAxes

SMALL = "test_efficientnet"  # timm's smallest
TINY = {"input_size": (3, 32, 32), "mean": (0.2, 0.5, 0.6), "std": (0.1, 0.2, 0.5)}
NAMES = ["tabby, tabby cat, cat", "tiger cat", "crane", "crane", "espresso, espresso coffee"]


def load(network: str = "TinyNet", *arguments, **more) -> Classifier:
    return load_classifier(f"helpers.networks.{network}", *arguments, **{**TINY, **more})


def batch(size: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def names_file(tmp_path):
    (tmp_path / "names.txt").write_text("\ufeff" + "\n".join(NAMES) + "\n\n", encoding="utf-8")
    return tmp_path / "names.txt"


def test_forward_normalises_and_calls_the_model():
    classifier = load()
    mean, std = (torch.tensor(TINY[key])[:, None, None] for key in ("mean", "std"))
    torch.testing.assert_close(classifier(batch()), classifier.model((batch() - mean) / std))


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_signals_of_one_to_three_axes_are_normalised_per_channel(dims, channels):
    size = (5, 6, 7)[:dims]
    mean, std = torch.linspace(0.2, 0.6, channels), torch.linspace(0.1, 0.5, channels)
    config = {"input_size": (channels, *size), "mean": mean.tolist(), "std": std.tolist()}
    classifier = Classifier(AnyAxes([channels, *size], 3), config, "linear")
    x = torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(0))
    shape = (channels, *[1] * dims)
    expected = (x - mean.view(shape)) / std.view(shape)
    torch.testing.assert_close(classifier.normalise(x), expected)
    assert classifier.input_size == (channels, *size)
    assert classifier(x).shape == (2, 3)


@pytest.mark.parametrize("size", [(1, 40), (2, 8, 9, 10)])
def test_sizes_of_sounds_and_volumes_come_with_their_channels(size):
    classifier = load_classifier("helpers.networks.AnyAxes", input_size=size, model_args={"size": list(size)})
    assert classifier.input_size == size
    x = torch.rand(2, *size)
    torch.testing.assert_close(classifier.normalise(x), x)  # what is not said is not normalised
    shifted = load_classifier(
        "helpers.networks.AnyAxes", input_size=size, model_args={"size": list(size)}, mean=[0.5], std=[0.25]
    )
    torch.testing.assert_close(shifted.normalise(x), 4 * x - 2)


def test_it_is_frozen_and_stays_in_evaluation_mode():
    classifier = load("Moody")
    before = classifier(batch())
    classifier.train()
    assert not any(module.training for module in classifier.modules())
    assert not any(parameter.requires_grad for parameter in classifier.parameters())
    assert torch.equal(classifier(batch()), before)
    x = batch().requires_grad_()
    classifier(x).sum().backward()
    assert x.grad.abs().sum() > 0


def test_random_weights_are_the_same_each_time_and_leave_the_generator_alone():
    state = torch.get_rng_state()
    first = load_classifier(SMALL, "random", num_classes=4)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(1)
    second = load_classifier(SMALL, "random", num_classes=4)
    assert torch.equal(first(batch(160)), second(batch(160)))
    assert first.fingerprint() == second.fingerprint()
    assert first.fingerprint() != load_classifier(SMALL, "random", num_classes=5).fingerprint()
    assert (first.num_classes, first.weights, first.input_size) == (4, "random", (3, 160, 160))


def test_a_head_that_the_weights_do_not_have_is_refused(names_file):
    with pytest.raises(InputError, match="comes with 1000 classes; a head of 5 would be untrained"):
        load_classifier(num_classes=5)
    with pytest.raises(InputError, match="has 1000 classes, but 5 class names"):
        load_classifier(class_names=names_file)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"std": (0.1, 0.0, 0.1)}, "std above 0"),
        ({"mean": (float("nan"),)}, "must be finite"),
        ({"mean": (0.5, 0.5)}, "mean and std need 1 or 3 values"),
        ({"input_size": (4, 32, 32)}, "cannot classify an input of size 4x32x32"),
        ({"input_size": (3, 1, 1)}, "cannot classify an input of size 3x1x1"),
    ],
)
def test_data_configs_that_do_not_fit_are_refused(changes, why):
    with pytest.raises(InputError, match=why):
        load(**{"mean": (0.5,), "std": (0.5,), **changes})


def test_a_network_for_grey_images_gets_grey_images():
    options = {"mean": (0.5,), "std": (0.5,), "input_size": 64}
    classifier = load_classifier(SMALL, "random", model_args={"in_chans": 1}, **options)
    assert classifier.input_size == (1, 64, 64)


def test_classes_are_meant_by_index_synonym_or_unique_part(names_file):
    classifier = load(class_names=names_file)
    for text, index in {"3": 3, " 0 ": 0, "Tabby": 0, "tiger": 1, "coffee": 4, "cat": 0, "ESPRESSO": 4}.items():
        assert classifier.class_index(text) == index
    assert classifier.class_index(2) == 2
    assert [classifier.class_name(index) for index in range(5)] == ["tabby", "tiger cat", "crane", "crane", "espresso"]
    for text, why in {
        "crane": r"several classes: 2 \(crane\), 3 \(crane\);",
        "a": "several classes",
        "c": r"several classes: 0 \(tabby cat\)",
        "dog": "no class of .* 'dog'",
        "tigre cat": "did you mean tiger cat",
        "5": "class 5 does not exist: .* 0 to 4",
        "-1": "class -1 does not exist",
        "--1": "no class",
        "\u00b2": "no class",
    }.items():
        with pytest.raises(InputError, match=why):
            classifier.class_index(text)


def test_class_names_must_be_one_per_class(tmp_path, names_file):
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xff")
    for name, why in {"empty.txt": "holds no class names", "bytes.txt": "cannot read", "no.txt": "cannot read"}.items():
        with pytest.raises(InputError, match=why):
            load(class_names=tmp_path / name)
    with pytest.raises(InputError, match="has 4 classes, but 5 class names"):
        load(class_names=names_file, num_classes=4)


def test_without_names_classes_are_numbered():
    assert load().class_name(3) == "class 3"
    with pytest.raises(InputError, match="has no class names"):
        load().class_index("cat")
