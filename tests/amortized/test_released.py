"""The explainer that amortex brings: small, for the default classifier, and better than what needs no training."""

from pathlib import Path

import pytest
import torch

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.explainer import Amortized
from amortex.amortized.released import ASSETS, released
from amortex.app.recognising import bundled_sources, sources_of
from amortex.classifiers.default import DEFAULT_CLASSIFIER
from amortex.core.errors import InputError
from amortex.core.masks import energy, top_share
from amortex.core.modalities import MODALITIES
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.initial import sensitivity
from amortex.io.images import Preprocess
from amortex.io.readers import reader_of


@pytest.fixture(scope="module")
def predictor():
    folder = released(DEFAULT_CLASSIFIER)
    assert folder is not None
    return load_predictor(folder, input_size=128)


def test_it_is_small_and_has_a_card(predictor):
    assert sum(file.stat().st_size for file in ASSETS.rglob("*") if file.is_file()) < 20 * 2**20
    assert DEFAULT_CLASSIFIER in (ASSETS / "CARD.md").read_text(encoding="utf-8")
    assert predictor.rate_distortion.classifier.name == DEFAULT_CLASSIFIER
    assert predictor.decoder.refiner is not None
    assert released("resnet50") is None


@pytest.fixture(scope="module")
def image(predictor):
    """Photographs that it was not trained on."""
    load = Preprocess(predictor.rate_distortion.classifier.data_config).load
    return torch.stack([load(source.path) for source in bundled_sources()])


def test_a_higher_rate_does_not_cost(predictor, image):
    rd, encoded = predictor.rate_distortion, predictor.rate_distortion.encode(image)
    masks = [Amortized(predictor, rate=rate).explain(image).mask for rate in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)]
    outputs = rd.probabilities(encoded, masks, NoiseStreams.evaluation(image), 32)
    distortion = torch.stack([rd.distortions(encoded, part).mean(1) for part in outputs])
    assert (distortion.diff(dim=0) <= 0.01).all()
    assert (distortion[0] > distortion[3] + 0.1).all()  # were all at their lowest, it would not tell


def test_one_pass_is_better_than_any_rate_of_an_ordering_and_learned_steps_are_better_still(predictor, image):
    rd = predictor.rate_distortion
    lambda_k = 2.5

    def objective(mask):
        outcome = rd(rd.encode(image), mask, NoiseStreams.evaluation(image), 16)
        return (outcome.distortion.mean(1) + lambda_k * outcome.rate).mean().item()

    encoded = rd.encode(image)
    order, size = sensitivity(rd, encoded, NoiseStreams.of(image)), energy(encoded.coefficients)
    untrained = min(objective(top_share(order, rate, size)) for rate in (0.02, 0.05, 0.1, 0.2))
    rates = (0.02, 0.05, 0.1, 0.2)
    one_pass = min(
        objective(Amortized(predictor, lambda_k, rate, learned_steps=0).explain(image).mask) for rate in rates
    )
    explanation = Amortized(predictor, lambda_k, learned_steps=8).explain(image)
    refined = objective(explanation.mask)
    at_once, refined_at = (
        objective(Amortized(predictor, lambda_k, 0.05, learned_steps=learned_steps).explain(image).mask)
        for learned_steps in (0, 8)
    )
    assert refined_at < 0.8 * at_once  # at a rate that is given, too
    assert one_pass < untrained
    assert refined < 0.8 * one_pass
    assert explanation.mask[explanation.mask > 0].min() >= predictor.schedule.prune_threshold


def test_that_of_digits_is_better_than_any_rate_of_an_ordering_in_one_pass_and_better_still_with_learned_steps():
    rd = (predictor := load_predictor(released("digits3d"))).rate_distortion
    load = reader_of(rd.classifier.data_config).load
    digits = torch.stack([load(source.path) for source in sources_of([], MODALITIES["volume"], Path())])
    encoded, lambda_k = rd.encode(digits), 2.5

    def objective(mask):
        outcome = rd(encoded, mask, NoiseStreams.evaluation(digits), 32)
        return (outcome.distortion.mean(1) + lambda_k * outcome.rate).mean().item()

    order, size = sensitivity(rd, encoded, NoiseStreams.of(digits)), energy(encoded.coefficients)
    untrained = min(objective(top_share(order, rate, size)) for rate in (0.005, 0.01, 0.02, 0.05))
    one_pass, refined = (
        objective(Amortized(predictor, lambda_k, learned_steps=steps).explain(digits).mask) for steps in (0, 8)
    )
    assert one_pass < 0.8 * untrained
    assert refined < 0.6 * one_pass


@pytest.mark.parametrize("size", [16, 33])
def test_sizes_whose_feature_maps_are_others_are_refused_with_those_that_work(size):
    why = rf"trained on .* those of {size}x{size}: give an input size that is a multiple of 32"
    with pytest.raises(InputError, match=why):
        load_predictor(released(DEFAULT_CLASSIFIER), input_size=size)
    assert load_predictor(released(DEFAULT_CLASSIFIER), input_size=32).gradient


def test_a_class_that_is_not_predicted_becomes_probable_by_learned_steps(predictor, image):
    rd = predictor.rate_distortion
    probabilities = rd.encode(image).probabilities
    values, classes = probabilities.topk(2, 1)
    explainer = Amortized(predictor, 2.5)
    explanation = explainer.for_target().explain(image, classes[:, 1])
    assert explanation.extra["passes"].tolist() == [29, 29]  # one tells which classes are predicted
    assert explanation.encoded.rate(explanation.mask).max() < 0.2
    outputs = rd.probabilities(explanation.encoded, [explanation.mask], NoiseStreams.evaluation(image), 16)[0].mean(1)
    probability = outputs.gather(1, classes[:, 1:])[:, 0]
    assert values[0, 1] < 0.3  # the tabby in the photograph of a cat
    assert probability[0] > 0.6
    predicted = explainer.for_target().explain(image, classes[:, 0])
    assert torch.equal(predicted.mask, explainer.explain(image).mask)  # those of predicted classes stay as they are
