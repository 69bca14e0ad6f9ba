"""Every method, obfuscation and transform on a toy waveform and a toy volume."""

import pytest
import torch

from amortex.core.catalog import load
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers import METHODS, build_explainer
from amortex.explainers.presets import PRESETS
from amortex.obfuscations import OBFUSCATIONS, build_obfuscation
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.problem import Problem
from amortex.transforms import TRANSFORMS
from helpers.signals import RANGES, SIZES, signal_classifier, signal_pipeline, signals

SHORT = {"preset": PRESETS["fast"].but(steps=3), "steps": 3}
IMAGES_ALONE = {"lime", "shearletx"}


@pytest.mark.parametrize("dims", [1, 3])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_explains_waveforms_and_volumes(method, dims):
    entry = METHODS[method]
    transform = Problem(transform=entry.transform, wavelet="haar", levels=2).build_transform(dims)
    rd, x = signal_pipeline(dims, transform), signals(dims)
    options = [name for name in SHORT if name in entry.options][:1]
    arguments = {name: SHORT[name] for name in options}
    if method in IMAGES_ALONE:  # before anything is computed
        with pytest.raises(InputError, match=r"images alone|are of images, not of signals"):
            build_explainer(method, rd, **arguments).explain(x)
        return
    explainer = build_explainer(method, rd, **arguments)
    explanation = explainer.explain(x)
    assert explanation.mask.shape == (2, explanation.encoded.layout.k)
    assert bool(((explanation.mask >= 0) & (explanation.mask <= 1)).all())
    assert bool((explanation.relevance.sum(1) > 0).all())
    attribution = explainer.attribute(x)
    assert attribution.shape == x.shape
    assert bool((attribution >= 0).all())
    alone = explainer.explain(x[1:])
    torch.testing.assert_close(alone.relevance, explanation.relevance[1:], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dims", [1, 3])
@pytest.mark.parametrize("name", OBFUSCATIONS)
@pytest.mark.parametrize("transform", sorted(TRANSFORMS.keys() - {"shearlet"}))
def test_obfuscated_signals_stay_in_their_range(transform, name, dims):
    kind = Problem(transform=transform, wavelet="db2", levels=2).build_transform(dims)
    rd = RateDistortion(signal_classifier(dims), kind, build_obfuscation(name), value_range=RANGES[dims])
    explanation = build_explainer("random_pixels", rd).explain(signals(dims))
    (low, high), mask = RANGES[dims], explanation.mask
    noise = None
    if explanation.encoded.scale is not None:
        noise = rd.noise(explanation.encoded, NoiseStreams.of(explanation.encoded.image), slice(None), 2)
    obfuscated = rd.obfuscate(explanation.encoded, mask, noise)
    assert obfuscated.shape == (2, 1 if noise is None else 2, *SIZES[dims])
    assert bool(((obfuscated >= low) & (obfuscated <= high)).all())
    full = rd.obfuscate(explanation.encoded, torch.ones_like(mask), noise)
    torch.testing.assert_close(full[:, 0], signals(dims), rtol=0, atol=1e-5)
    outcome = rd(explanation.encoded, mask, NoiseStreams.of(signals(dims)), 4)
    torch.testing.assert_close(outcome.rate, mask.mean(1))


def test_constants_are_the_middle_of_the_range():
    rd = RateDistortion(signal_classifier(1), Problem(transform="pixel").build_transform(1),
                        load(OBFUSCATIONS["constant"])(), value_range=(-1.0, 1.0))  # fmt: skip
    encoded = rd.encode(signals(1))
    assert all(bool((location == 0).all()) for location in encoded.location)
    with pytest.raises(InputError, match=r"values in \[-1, 1\]"):
        build_explainer("cartoonx", signal_pipeline(1, Problem(levels=1).build_transform(1))).explain(2 * signals(1))
