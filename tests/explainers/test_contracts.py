"""One contract for every method that is listed."""

import pytest
import torch

from amortex.core.catalog import load
from amortex.explainers import METHODS, build_explainer
from amortex.explainers.base import Explainer, picture
from amortex.explainers.minimal_image import MinimalImage
from amortex.explainers.presets import Preset
from amortex.explainers.rde import RDE
from amortex.obfuscations import OBFUSCATIONS, build_obfuscation
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.problem import Problem

STEPS, CLASSLESS = 6, ("random_pixels", "random_wavelets", "magnitude")  # the class does not matter to these
GRADIENT = 1 + 2  # passes forward and backward
RDE_STEPS = STEPS * 2 * GRADIENT
PASSES = {  # besides the one that tells the class
    "cartoonx": RDE_STEPS, "pixel_rde": RDE_STEPS, "fourier_rde": RDE_STEPS, "polar_rde": RDE_STEPS,
    "shearletx": RDE_STEPS, "waveletx": RDE_STEPS, "wam": GRADIENT, "wam_sg": 25 * GRADIENT, "wam_ig": 51 * GRADIENT,
    "minimal": 3 * STEPS, "minimal_static": 203, "saliency": GRADIENT, "smoothgrad": 10 * GRADIENT,
    "integrated_gradients": 100 * GRADIENT, "guided_backprop": GRADIENT, "guided_gradcam": 2 * GRADIENT,
    "gradcam": GRADIENT, "gradcam_pp": GRADIENT, "lrp": GRADIENT, "lime": 500, "sensitivity": 4 * GRADIENT,
    "random_wavelets": 0, "random_pixels": 0, "magnitude": 0,
}  # fmt: skip


def explainer_of(method: str, classifier, seed: int = 0, obfuscation=None) -> Explainer:
    transform = METHODS[method].transform
    problem = Problem(transform=transform, levels=2 if transform in ("fourier", "polar", "shearlet") else 5)
    rd = RateDistortion(classifier, problem.build_transform(), obfuscation)
    short = Preset("short", steps=STEPS, samples=2, lr=0.1, schedule="cosine")
    arguments = {RDE: {"preset": short}, MinimalImage: {"steps": STEPS}}.get(load(METHODS[method].path), {})
    return build_explainer(method, rd, seed=seed, **arguments)


@pytest.fixture
def classifier(request, tiny_classifier, relu_classifier):
    """One that the method is defined for."""
    entry = METHODS[request.getfixturevalue("method")]
    return relu_classifier if entry.kind == "classical" else tiny_classifier


@pytest.mark.parametrize("method", METHODS)
def test_method_contract(method, classifier, images):
    explainer = explainer_of(method, classifier)
    seen = []
    explanation = explainer.explain(images, on_step=lambda step, mask: seen.append((step, mask.shape)))
    k = explanation.encoded.layout.k
    assert seen == [(step, (3, k)) for step in range(1, explainer.steps + 1)]
    for values in (explanation.mask, explanation.relevance):
        assert values.shape == (3, k)
        assert values.dtype == images.dtype
        assert values.isfinite().all()
        assert not values.requires_grad
    assert 0 <= explanation.mask.min() < explanation.mask.max() <= 1
    assert (explanation.relevance >= 0).all()
    assert explanation.signed is None or explanation.signed.shape == (3, k)
    assert all(values.shape == (3,) for values in explanation.extra.values())
    passes = explanation.extra["passes"]
    assert ((passes >= 1) & (passes == passes.round())).all()
    assert method not in PASSES or passes.tolist() == [1 + PASSES[method]] * 3
    assert torch.equal(explanation.encoded.target, classifier(images).argmax(1))
    drawn = picture(explainer.rate_distortion, explanation)
    assert drawn.shape == (3, 1, 32, 32)
    assert 0 <= drawn.min() < drawn.max() <= 1
    assert all(isinstance(value, str | int | float) for value in explainer.settings().values())


@pytest.mark.parametrize("method", METHODS)
def test_attribute_contract(method, classifier, images):
    explainer = explainer_of(method, classifier)
    relevance = explainer.attribute(images)
    assert relevance.shape == images.shape
    assert relevance.dtype == images.dtype
    assert relevance.isfinite().all()
    assert (relevance >= 0).all()
    assert (relevance.flatten(1).max(1).values > 0).all()
    for target in (2, torch.tensor(2), [2, 2, 2], torch.tensor([2, 2, 2])):
        torch.testing.assert_close(
            explainer.attribute(images, target), explainer.attribute(images, torch.full((3,), 2)), rtol=0, atol=0
        )
    same = torch.equal(explainer.attribute(images, 2), explainer.attribute(images, 3))
    assert same == (method in CLASSLESS)


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_repeats_the_result_and_gradient_mode_does_not_matter(method, classifier, images):
    first = explainer_of(method, classifier, seed=4).explain(images)
    torch.rand(1)  # the global state is no input
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            second = explainer_of(method, classifier, seed=4).explain(images.clone())
        assert torch.equal(first.mask, second.mask)
        assert torch.equal(first.relevance, second.relevance)


@pytest.mark.parametrize("method", METHODS)
def test_batch_invariant_explanations_are_equal_to_the_last_bit(method, classifier, images):
    explainer = explainer_of(method, classifier)
    explainer.rate_distortion.batch_invariant = True
    together = explainer.explain(images)
    for index in range(3):
        alone = explainer.explain(images[index : index + 1])
        assert torch.equal(alone.mask[0], together.mask[index])
        assert torch.equal(alone.relevance[0], together.relevance[index])


RANDOM = ["cartoonx", "pixel_rde", "fourier_rde", "wam_sg", "smoothgrad", "lime", "random_pixels", "random_wavelets"]


@pytest.mark.parametrize("method", RANDOM)
def test_another_seed_changes_a_random_method(method, classifier, images):
    first, second = (explainer_of(method, classifier, seed).explain(images) for seed in (0, 1))
    assert not torch.equal(first.relevance, second.relevance)


@pytest.mark.parametrize("name", OBFUSCATIONS)
def test_rde_runs_with_every_obfuscation(name, tiny_classifier, images):
    mask = explainer_of("cartoonx", tiny_classifier, obfuscation=build_obfuscation(name)).explain(images).mask
    assert 0 <= mask.min() < mask.max() <= 1
