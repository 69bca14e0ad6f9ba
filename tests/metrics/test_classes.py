"""Whether explanations show their class, and depend on the classifier."""

import pytest
import torch

from amortex.amortized.config import PredictorConfig
from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.classifiers.loading import load_classifier
from amortex.explainers.baselines import Ordering
from amortex.explainers.wam import WAM
from amortex.metrics import ClassLeakage, Sanity, cascading_randomisation, other_classes
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier
from helpers.signals import ToySound


def test_leakage_is_of_other_classes_and_sanity_falls(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    wam = WAM(rd)
    predicted = wam.explain(images)
    targets = other_classes(predicted.encoded)
    assert (targets != predicted.encoded.target).all()
    assert torch.equal(targets, other_classes(predicted.encoded))
    metric = ClassLeakage(rd, 2)
    metric.update(predicted, wam.explain(images, targets))
    assert 0 <= metric.compute()["other"].mean <= 1
    changed = [randomised.explain(images, predicted.encoded.target) for randomised in cascading_randomisation(wam)]
    sanity = Sanity([str(stage) for stage in range(len(changed))])
    sanity.update(predicted, changed)
    means = [interval.mean for interval in sanity.compute().values()]
    assert all(-1 <= mean < 0.9 for mean in means)
    same = Sanity(["same"])
    same.update(predicted, [predicted])
    assert same.compute()["same"].mean == pytest.approx(1.0)
    assert torch.equal(predicted.relevance, wam.explain(images).relevance)  # the classifier itself is left alone


def test_digital_silence_does_not_make_explanations_alike():
    sound = torch.zeros(1, 1, 2000)
    sound[..., :300] = torch.rand(300, generator=torch.Generator().manual_seed(0)) - 0.5
    classifier = build_classifier(ToySound(), (1, 2000), "toy")
    rd = RateDistortion(classifier, Wavelet("db6", 4, dims=1), value_range=(-1.0, 1.0))
    one, other = (Ordering(rd, "random", seed=seed).explain(sound) for seed in (0, 1))
    assert not one.encoded.live.all()
    assert Sanity(["other"]).evaluate(one, [other]).abs().item() < 0.3


def test_randomised_classifiers_have_no_head_left_that_predictors_read():
    rd = RateDistortion(load_classifier("resnet10t", "random", num_classes=7, input_size=64))
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    explainer = Amortized(
        MaskPredictor(rd, PredictorConfig(gradient=False)), rate=0.1
    )  # its guess follows the class maps
    before = explainer.explain(image)
    changed = next(cascading_randomisation(explainer))
    head = changed.rate_distortion.classifier.model.get_classifier().weight
    torch.testing.assert_close(changed.predictor.backbone.head, head - head.mean(0))
    sanity = Sanity(["head"]).evaluate(before, [changed.explain(image, before.encoded.target)])
    assert sanity.max() < 0.99
