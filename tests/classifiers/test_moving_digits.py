"""The bundled classifier of moving digits: it sees the direction in colour clips, and only in their order."""

import pytest
import torch

from amortex.classifiers.loading import load_classifier
from amortex.classifiers.moving_digits import CLASS_NAMES, WEIGHTS
from amortex.core.errors import InputError
from amortex.data.moving_digits import MovingDigits


@pytest.fixture(scope="module")
def classifier():
    return load_classifier("moving_digits")


@torch.no_grad()
def test_directions_of_digits_that_training_never_saw_are_recognised(classifier):
    source = MovingDigits("validation")
    indices = range(0, len(source), 3)
    clips = torch.stack([source.open(index) for index in indices])
    labels = torch.tensor([source.label(index) for index in indices])
    assert (classifier(clips).argmax(1) == labels).float().mean() > 0.95
    opposite = torch.tensor([1, 0, 3, 2])[labels]  # played backwards
    assert (classifier(clips.flip(2)).argmax(1) == opposite).float().mean() > 0.95


def test_settings(classifier):
    assert classifier.input_size == (3, 8, 24, 24)
    assert (classifier.activation, classifier.weights, classifier.num_classes) == ("softmax", "embedded", 4)
    assert tuple(classifier.class_names) == CLASS_NAMES
    assert WEIGHTS.stat().st_size < 150_000
    with pytest.raises(InputError, match="moving_digits comes with 4 classes, not 3"):
        load_classifier("moving_digits", num_classes=3)
