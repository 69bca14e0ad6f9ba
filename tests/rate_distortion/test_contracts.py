"""One contract for everything that is listed: transforms, obfuscations and distortions."""

import importlib
import pkgutil

import pytest
import torch

from amortex import obfuscations
from amortex.core.catalog import load
from amortex.core.noise_streams import NoiseStreams
from amortex.obfuscations import OBFUSCATIONS, build_obfuscation
from amortex.obfuscations.base import Obfuscation
from amortex.rate_distortion.distortions import DISTORTIONS
from amortex.rate_distortion.pipeline import RateDistortion
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
