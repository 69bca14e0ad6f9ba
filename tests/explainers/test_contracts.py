"""One contract for everything that is listed: transforms, obfuscations, distortions and methods."""

import importlib
import pkgutil

import pytest
import torch

from amortex import obfuscations
from amortex.core.catalog import load
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers import METHODS, build_explainer
from amortex.explainers.base import Explainer, picture
from amortex.explainers.minimal_image import MinimalImage
from amortex.explainers.presets import Preset
from amortex.explainers.rde import RDE
from amortex.obfuscations import OBFUSCATIONS, build_obfuscation
from amortex.obfuscations.base import Obfuscation
from amortex.rate_distortion.distortions import DISTORTIONS
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.problem import Problem
from amortex.transforms import TRANSFORMS
from amortex.transforms.base import Transform
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.polar import Polar
from amortex.transforms.shearlet import Shearlet
from amortex.transforms.wavelet import Wavelet

SETTINGS = {  # others with their default arguments
    "wavelet": [Wavelet(), Wavelet("haar", 2), Wavelet("db8", 1, "reflect"), Wavelet("sym4", 2, "symmetric")],
    "fourier": [Fourier(), Fourier(2)],
    "polar": [Polar(2)],
    "shearlet": [Shearlet(1), Shearlet(2)],
}
STEPS, CLASSLESS = 6, ("random_pixels", "random_wavelets", "magnitude")  # the class does not matter to these


def name_of(item) -> str:
    if isinstance(item, Transform):
        return "-".join(map(str, item.settings().values()))
    return getattr(item, "__name__", str(item))


each_transform = pytest.mark.parametrize(
    "transform", [t for name, path in TRANSFORMS.items() for t in SETTINGS.get(name) or [load(path)()]], ids=name_of
)


@each_transform
@pytest.mark.parametrize("size", [(32, 32), (19, 30)])
def test_transform_contract(transform, size):
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    coefficients = transform(x)
    layout = coefficients.layout
    assert layout is transform.layout(size, x.device)
    assert layout.size == size
    assert coefficients.flat.shape == (2, 3, layout.k)
    assert coefficients.flat.is_complex() == layout.is_complex
    for index in (layout.group, layout.level, layout.orientation):
        assert index.shape == (layout.k,)
        assert index.dtype == torch.int64
    assert layout.group.min() >= 0
    assert layout.group.max() < len(layout.groups)
    assert [band.shape[2:] for band in coefficients.bands] == [band.shape for band in layout.bands]
    restored = transform.inverse(coefficients)
    torch.testing.assert_close(restored, x, rtol=0, atol=1e-5)
    pulled = transform.pullback(torch.ones_like(x), coefficients)
    assert pulled.flat.shape == coefficients.flat.shape
    assert not list(transform.parameters())
    assert all(isinstance(value, str | int) for value in transform.settings().values())
    assert transform.settings()["name"] == type(transform).__name__


def test_every_obfuscation_is_listed():
    modules = [info.name for info in pkgutil.iter_modules(obfuscations.__path__)]
    found = {
        value
        for name in modules
        for value in vars(importlib.import_module(f"amortex.obfuscations.{name}")).values()
        if isinstance(value, type) and issubclass(value, Obfuscation) and value.__module__.endswith(name)
    }
    listed = {load(path) for path in OBFUSCATIONS.values()}
    assert {Obfuscation, *listed} == found, "give it a line in amortex/obfuscations/__init__.py"


@each_transform
@pytest.mark.parametrize("name", OBFUSCATIONS)
def test_obfuscation_contract(name, transform, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, transform, build_obfuscation(name))
    encoded = rd.encode(images)
    k = encoded.layout.k
    replacement = rd.obfuscation.replacement(images, encoded.coefficients, transform)
    for values in (replacement.location, replacement.scale):
        if values is not None:
            assert values.isfinite().all()
            assert values.shape in {(3, 1, k), (3, 3, k)}
    if replacement.scale is None:
        with pytest.raises(NotImplementedError):
            rd.obfuscation.noise_(torch.empty(2), torch.Generator())
    else:
        assert (replacement.scale >= 0).all()
        assert replacement.scale.sum() > 0
    noise = rd.noise(encoded, NoiseStreams.of(images), slice(None), 2)
    assert (noise is None) == (replacement.scale is None)
    y = rd.obfuscate(encoded, torch.full((3, k), 0.3), noise)
    assert y.shape == (3, 1 if noise is None else 2, 3, 32, 32)
    assert y.dtype == images.dtype
    assert y.isfinite().all()
    assert 0 <= y.min() < y.max() <= 1
    assert (y - images[:, None]).abs().mean() > 1e-3
    if noise is not None:
        assert not torch.equal(y[:, 0], y[:, 1])


@pytest.mark.parametrize("name", DISTORTIONS)
def test_distortion_contract(name, tiny_classifier, images):
    p = tiny_classifier(images).softmax(-1)
    q = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0)).softmax(-1)
    target = torch.tensor([0, 4, 2])
    values = DISTORTIONS[name](p, q, target)
    assert values.shape == (3, 7)
    assert (values > 0).all()
    alone = DISTORTIONS[name](p[1:2], q[1:2, 3:4], target[1:2])
    torch.testing.assert_close(alone[0, 0], values[1, 3])
    rd = RateDistortion(tiny_classifier, Pixel(), distortion=name)
    outcome = rd(rd.encode(images), torch.zeros(3, 1024), NoiseStreams.of(images), 7)
    assert outcome.distortion.shape == (3, 7)
    torch.testing.assert_close(outcome.probabilities.sum(-1), torch.ones(3))


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
