"""Counting classifier passes: what counts, for which images, and that copies and other counters are left alone."""

import copy
import gc
import pickle
import weakref

import pytest
import torch

from amortex.amortized.backbone import Backbone
from amortex.classifiers.loading import load_classifier
from helpers.classifiers import build_classifier, smooth_net


@pytest.fixture
def classifier():
    return build_classifier(smooth_net(5, seed=0), (3, 32, 32), "tiny")


def forward_and_backward(classifier, images):
    leaf = images.clone().requires_grad_()
    torch.autograd.grad(classifier(leaf)[:, 0].sum(), leaf)


def test_a_forward_pass_counts_one_and_a_backward_pass_two_when_it_runs(classifier, images):
    with classifier.count_passes(images=3) as counter:
        classifier(images)
        assert counter.per_image.tolist() == [1, 1, 1]
        logits = classifier(images.clone().requires_grad_())
        assert counter.per_image.tolist() == [2, 2, 2]
        logits.sum().backward()
        assert counter.per_image.tolist() == [4, 4, 4]
        forward_and_backward(classifier, images.repeat(4, 1, 1, 1))  # four draws of each
    classifier(images)  # after the end
    assert counter.per_image.tolist() == [16, 16, 16]
    assert counter.per_image.device.type == "cpu"
    assert counter.total == 48
    assert counter.seconds > 0


def test_the_pass_that_gives_feature_maps_counts():
    classifier = load_classifier("resnet10t", "random", num_classes=7, input_size=64)
    backbone = Backbone(classifier)
    with classifier.count_passes(images=2) as counter:
        assert backbone(torch.rand(2, 3, 64, 64)).maps
    assert counter.per_image.tolist() == [1, 1]


def test_passes_belong_to_the_images_that_are_worked_on(classifier, images):
    with classifier.count_passes(images=4) as counter:
        with classifier.passes_for(torch.tensor([1, 3]), of=4):
            classifier(images[:2])
            with classifier.passes_for(slice(1, 2), of=2):
                forward_and_backward(classifier, images[:1])
            classifier(images[:1])  # in chunks of one, which neither image has to itself
            classifier(images[:1])
        classifier(images[:2].repeat(2, 1, 1, 1))
    assert counter.per_image.tolist() == [1, 3, 1, 6]


def test_backward_passes_belong_to_the_images_of_their_forward_passes(classifier, images):
    with classifier.count_passes(images=2) as counter:
        with classifier.passes_for(torch.tensor([1]), of=2):
            logits = classifier(images[:1].clone().requires_grad_())
        logits.sum().backward()
    assert counter.per_image.tolist() == [0, 3]


def test_each_of_several_counters_counts(classifier, images):
    with classifier.count_passes() as total, classifier.count_passes(images=3) as outer:
        for index in range(3):
            with classifier.passes_for(slice(index, index + 1), of=3), classifier.count_passes(images=1) as inner:
                for _ in range(index):
                    classifier(images[:1])
                assert inner.per_image.tolist() == [index]
        with classifier.count_passes(images=2) as smaller, classifier.passes_for(torch.tensor([0]), of=2):
            classifier(images)  # the outer counter cannot know whose these are
    assert outer.per_image.tolist() == [1, 2, 3]
    assert smaller.per_image.tolist() == [3, 0]
    assert total.total == outer.total == 6


def test_an_error_ends_a_scope_and_a_counter(classifier, images):
    with (
        pytest.raises(ZeroDivisionError),
        classifier.count_passes(images=2) as counter,
        classifier.passes_for(slice(0, 1), of=2),
    ):
        raise ZeroDivisionError
    assert counter.scope == (0, 1)
    assert not classifier.active_counters


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_of_a_classifier_are_not_counted_unless_they_are_watched(copied, classifier, images):
    with classifier.count_passes(images=3) as counter:
        twin = copied(classifier)
        assert not twin.active_counters
        twin(images)
        assert counter.total == 0
        with counter.watch(twin):
            twin(images)
        twin(images)
        classifier(images)
    assert counter.per_image.tolist() == [2, 2, 2]


def test_counting_changes_no_bit(classifier, images):
    leaf = images.clone().requires_grad_()
    (expected,) = torch.autograd.grad(classifier(leaf).log_softmax(1)[:, 0].sum(), leaf)
    with classifier.count_passes(images=3):
        logits = classifier(leaf)
        (gradient,) = torch.autograd.grad(logits.log_softmax(1)[:, 0].sum(), leaf)
    assert torch.equal(logits, classifier(leaf))
    assert torch.equal(gradient, expected)


def test_what_has_been_counted_is_not_kept_in_memory(classifier, images):
    gc.disable()
    try:
        with classifier.count_passes(images=3):
            inputs = images.clone().requires_grad_() * 1.0
            reference = weakref.ref(inputs)
            classifier(inputs).sum().backward()
            del inputs
            assert reference() is None
    finally:
        gc.enable()


def test_passes_for_something_else_are_not_counted(classifier, images):
    with classifier.count_passes(images=3) as counter:
        classifier(images)
        with classifier.uncounted():
            classifier(images)
            with classifier.count_passes(images=3) as inner:
                classifier(images)
        classifier(images)
    assert (counter.total, inner.total) == (6, 3)
