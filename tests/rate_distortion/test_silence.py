"""Digital silence at the ends of sounds: no part of the signal, of no statistics, and at no rate."""

from dataclasses import replace

import pytest
import pywt
import torch

from amortex.classifiers.classifier import Classifier
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.minimal_image import MinimalImage, StaticMinimalImage
from amortex.explainers.presets import PRESETS
from amortex.explainers.rate_search import Retaining
from amortex.explainers.rde import RDE
from amortex.explainers.wam import WAM
from amortex.metrics import functional
from amortex.obfuscations import build_obfuscation
from amortex.obfuscations.constant import Zero
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.silence import live_entries, sounding
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.wavelet import Wavelet

LENGTH = 256
QUICK = replace(PRESETS["fast"], name="quick", steps=12)


class FirstSamples(torch.nn.Module):
    """A classifier that ignores all but the first samples: a moving average of squares, and a linear layer."""

    def __init__(self, length: int = LENGTH) -> None:
        super().__init__()
        self.length = length
        generator = torch.Generator().manual_seed(3)
        self.weight = torch.nn.Parameter(3 * torch.randn(3, length // 16, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0, : self.length].square().unflatten(1, (-1, 16)).mean(2) @ self.weight.T


def pipeline(length: int, transform=None, obfuscation=None) -> RateDistortion:
    config = {"input_size": (1, length), "mean": (0.0,), "std": (1.0,)}
    return RateDistortion(
        Classifier(FirstSamples(), config, "first samples"), transform or Wavelet("db3", 3, dims=1), obfuscation,
        value_range=(-1.0, 1.0),
    )  # fmt: skip


@pytest.fixture
def clip() -> torch.Tensor:
    """Two sounds ``(2, 1, LENGTH)`` without an exact zero."""
    return torch.rand(2, 1, LENGTH, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.801


def padded(clip: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.pad(clip, (0, LENGTH))


def test_only_zeros_at_the_ends_of_all_channels_are_silence():
    sound = torch.tensor([[[0, 0, 1, 0, 2, 0, 0], [0, 0, 0, 0, 0, 3, 0]], [[0.0] * 7] * 2])
    assert sounding(sound).int().tolist() == [[0, 0, 1, 1, 1, 1, 0], [1] * 7]  # nothing but silence is all there is


@pytest.mark.parametrize("wavelet", ["haar", "db3", "db6", "bior2.4"])
@pytest.mark.parametrize("padding", ["zero", "symmetric", "reflect", "periodization"])
def test_an_entry_is_live_where_a_sample_of_the_sound_changes_its_coefficient(wavelet, padding):
    transform = Wavelet(wavelet, 3, padding, dims=1)
    sound = torch.zeros(1, 1, 101, dtype=torch.float64)
    sound[..., 30:62] = 1
    live = live_entries(transform, sound)
    moved = torch.zeros_like(live)
    for sample in range(30, 62):  # brute force, by PyWavelets
        low, *details = pywt.wavedec(torch.eye(101)[sample].double().numpy(), wavelet, padding, 3)
        flat = torch.cat([torch.from_numpy(band) for band in (low, *reversed(details))])
        moved |= flat != 0
    assert not (moved & ~live).any()
    assert live.sum() < live.numel()
    filters = pywt.Wavelet(wavelet)
    if filters.dec_lo[0] and filters.dec_lo[-1] and filters.dec_hi[0]:  # no filter that is shorter than its length
        assert torch.equal(live, moved)


def test_pixels_are_live_where_the_sound_is_and_frequencies_always():
    sound = torch.zeros(2, 1, 16)
    sound[0, 0, 3:9], sound[1] = 0.5, 0.5
    assert live_entries(Pixel(), sound).sum(1).tolist() == [6, 16]
    assert live_entries(Fourier(), sound) is None


@pytest.mark.parametrize("dims", [2, 3])
def test_a_black_border_is_part_of_a_picture(dims):
    picture = torch.zeros(1, 1, *[16] * dims)
    picture[..., 5:9] = 1
    assert live_entries(Wavelet("haar", 1, dims=dims), picture) is None


@pytest.mark.parametrize("name", ["gaussian", "uniform"])
def test_statistics_are_those_of_the_sound_alone(name, clip):
    noise = build_obfuscation(name)
    encoded = pipeline(2 * LENGTH, obfuscation=noise).encode(padded(clip))
    alone = pipeline(LENGTH, obfuscation=noise).encode(clip)
    assert torch.equal(encoded.entries, torch.full((2, 1), alone.layout.k))  # boundary filters reach no further
    for band, expected in zip(
        (*encoded.location, *encoded.scale), (*alone.location, *alone.scale), strict=True
    ):  # one value per band, and zero in silence
        length = expected.shape[-1]
        torch.testing.assert_close(band[..., :length], expected)
        assert not band[..., length:].any()


@pytest.mark.parametrize("name", ["zero", "constant", "blur", "gaussian", "uniform"])
def test_silence_stays_silent_under_every_obfuscation(name, clip):
    rd = pipeline(2 * LENGTH, Pixel(), build_obfuscation(name))
    encoded = rd.encode(padded(clip))
    mask = torch.full((2, encoded.layout.k), 0.3)
    noise = rd.noise(encoded, NoiseStreams.of(encoded.image), slice(None), 2)
    assert not rd.obfuscate(encoded, mask, noise)[..., LENGTH:].any()


def test_an_explanation_of_a_padded_sound_is_that_of_the_sound(clip):
    """The same J after the same steps, without noise: the classifier ignores the padding."""
    results = []
    for rd, sound in (
        (pipeline(LENGTH, obfuscation=Zero()), clip),
        (pipeline(2 * LENGTH, obfuscation=Zero()), padded(clip)),
    ):
        explanation = RDE(rd, 2.0, QUICK).explain(sound)
        outcome = rd(explanation.encoded, explanation.mask, NoiseStreams.evaluation(sound), 1)
        rate = explanation.encoded.rate(explanation.mask)
        torch.testing.assert_close(outcome.rate, rate)
        results.append((rate, outcome.distortion[:, 0] + 2 * rate, explanation))
    (rate, objective, _), (padded_rate, padded_objective, explanation) = results
    assert rate.min() > 0.05
    assert rate.max() < 0.95
    torch.testing.assert_close(padded_rate, rate)
    torch.testing.assert_close(padded_objective, objective)
    dead = ~explanation.encoded.live
    assert not explanation.mask[dead].any()
    assert not explanation.relevance[dead].any()


@pytest.mark.parametrize("init", ["ones", "startgrad", "sensitivity"])
def test_silence_costs_no_rate_from_the_start(init, clip):
    explanation = RDE(pipeline(2 * LENGTH), 1.0, replace(QUICK, steps=1, lr=1e-9, peak=0.0), init).explain(padded(clip))
    assert not explanation.mask[~explanation.encoded.live].any()
    mean = explanation.encoded.rate(explanation.mask)
    torch.testing.assert_close(mean, torch.ones(2) if init == "ones" else torch.full((2,), 0.5), atol=0.35, rtol=0)


@pytest.mark.parametrize("build", [
    lambda rd: WAM(rd, rate=0.25), lambda rd: WAM(rd, "integrated", rate=0.25, samples=4),
    lambda rd: Retaining(WAM(rd, rate=0.25), 0.5), lambda rd: MinimalImage(rd, steps=2),
    lambda rd: StaticMinimalImage(rd, WAM(rd)),
])  # fmt: skip
def test_no_method_keeps_silence(build, clip):
    rd = pipeline(2 * LENGTH)
    explanation = build(rd).explain(padded(clip))
    dead = ~explanation.encoded.live
    assert dead.any()
    assert explanation.mask.any()
    assert not explanation.mask[dead].any()
    assert not explanation.relevance[dead].any()


def test_shares_are_shares_of_the_sound(clip):
    rd = pipeline(2 * LENGTH)
    explanation = WAM(rd, rate=0.25).explain(padded(clip))
    encoded = explanation.encoded
    kept = round(0.25 * int(encoded.entries[0]))
    assert explanation.mask.sum(1).tolist() == [kept, kept]
    torch.testing.assert_close(encoded.rate(explanation.mask), torch.full((2,), 0.25), atol=2e-3, rtol=0)
    subsets = functional.random_subsets(encoded, 3, 0.25)
    assert subsets.sum(-1).unique().tolist() == [kept]
    assert not subsets[~encoded.live[:, None].expand_as(subsets)].any()
    full = functional.rate_distortion_curve(rd, explanation, (1.0,), samples=1)["label_l2"]
    torch.testing.assert_close(full, torch.zeros_like(full), atol=1e-6, rtol=0)
    certified = functional.operating_point(rd, explanation, samples=2)["rate"]
    torch.testing.assert_close(certified, encoded.rate(explanation.mask))
