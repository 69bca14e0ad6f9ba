"""The bundled classifier of 3-D digits: what it answers, and what it shows of itself."""

import numpy as np
import pytest
import torch

from amortex.classifiers.digits3d import CLASS_NAMES, WEIGHTS
from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from amortex.data.digits3d import Digits3D


@pytest.fixture(scope="module")
def classifier():
    return load_classifier("digits3d")


def test_digits_that_training_never_saw_are_recognised(classifier):
    source = Digits3D("validation")
    indices = range(0, len(source), 3)
    with torch.no_grad():
        logits = classifier(torch.stack([source.open(index) for index in indices]))
    labels = torch.tensor([source.label(index) for index in indices])
    assert (logits.argmax(1) == labels).float().mean() > 0.96


def test_bundled_volumes_are_of_the_class_that_their_name_tells(classifier):
    files = sorted((WEIGHTS.parents[1] / "volumes").glob("*.npz"))
    assert len(files) == 5
    for file in files:
        volume = torch.from_numpy(np.load(file)["volume"]).float() / 255
        assert classifier.class_name(int(classifier(volume[None, None]).argmax())) == file.stem.removeprefix("digit")


def test_settings(classifier):
    assert classifier.input_size == (1, 16, 16, 16)
    assert (classifier.activation, classifier.weights, classifier.num_classes) == ("softmax", "embedded", 10)
    assert tuple(classifier.class_names) == CLASS_NAMES
    assert not any(isinstance(module, torch.nn.BatchNorm3d) for module in classifier.model.modules())
    assert WEIGHTS.stat().st_size < 900_000
    with pytest.raises(InputError, match="comes with 10 classes, not 3"):
        load_classifier("digits3d", num_classes=3)
    assert load_classifier("digits3d", weights="random", num_classes=3).num_classes == 3


def test_feature_maps_in_timms_way(classifier):
    volume = torch.rand(2, 1, 16, 16, 16)
    logits, final, maps = classifier.forward_intermediates(volume)
    assert torch.allclose(logits, classifier(volume), atol=1e-5)
    assert [feature_map.shape[1:] for feature_map in maps] == [
        (16, 16, 16, 16), (32, 8, 8, 8), (64, 4, 4, 4), (128, 2, 2, 2),
    ]  # fmt: skip
    assert torch.equal(final, maps[-1])
    mean = classifier.model.get_classifier()(final.mean((2, 3, 4)))  # what class maps rest on
    assert torch.allclose(mean, logits, atol=1e-5)
