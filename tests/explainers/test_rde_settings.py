"""RDE in batches, for other classes, and by its presets and settings."""

import pytest
import torch

from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.initial import sensitivity
from amortex.explainers.presets import PRESETS, preset_of
from amortex.explainers.rde import RDE
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.wavelet import Wavelet
from helpers.presets import HAAR, SHORT
from helpers.signals import signal_pipeline, signals


@pytest.mark.parametrize("preset", ["fast", "converged"])
def test_mask_does_not_depend_on_the_batch(preset, smooth_classifier, images64):
    few = PRESETS[preset].but(steps=25)
    together = RDE(RateDistortion(smooth_classifier, Wavelet("db2", 2)), 0.2, few).explain(images64).mask
    for index in range(4):
        rd = RateDistortion(smooth_classifier, Wavelet("db2", 2), internal_batch_size=3)
        alone = RDE(rd, 0.2, few).explain(images64[index : index + 1]).mask
        torch.testing.assert_close(alone[0], together[index], rtol=0, atol=1e-6)


@pytest.mark.parametrize("transform", [Wavelet("db2", 2), Pixel(), Fourier(2)], ids=lambda t: type(t).__name__)
def test_batch_invariant_masks_are_equal_to_the_last_bit(transform, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, transform, batch_invariant=True)
    explainer = RDE(rd, 0.2, PRESETS["fast"].but(steps=25))
    together = explainer.explain(images).mask
    for index in range(3):
        assert torch.equal(explainer.explain(images[index : index + 1]).mask[0], together[index])


@pytest.mark.parametrize("variant", ["saliency", "smoothgrad", "integrated"])
def test_batch_invariant_rankings_are_equal_to_the_last_bit(variant, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("db2", 2), batch_invariant=True)
    encoded, sizes = rd.encode(images), set()
    handle = tiny_classifier.model.register_forward_pre_hook(lambda module, args: sizes.add(len(args[0])))
    together = WAM(rd, variant).explain(images).relevance
    marginal_gain = sensitivity(rd, encoded, NoiseStreams.of(images))
    handle.remove()
    for index in range(3):
        one = images[index : index + 1]
        assert torch.equal(WAM(rd, variant).explain(one).relevance[0], together[index])
        assert torch.equal(sensitivity(rd, rd.encode(one), NoiseStreams.of(one))[0], marginal_gain[index])
    assert sizes == {1}  # libraries choose their kernels by it


def test_another_class_has_the_same_mask_for_every_distortion(tiny_classifier, images):
    few = PRESETS["fast"].but(steps=40)
    explainers = [RDE(RateDistortion(tiny_classifier, HAAR, distortion=name), 0.05, few) for name in ("l2", "label_l2")]
    least = explainers[0].rate_distortion.encode(images).probabilities.argmin(1)
    assert torch.equal(*(explainer.explain(images, least).mask for explainer in explainers))  # that of label_max
    assert not torch.equal(*(explainer.explain(images).mask for explainer in explainers))


def test_another_class_is_explained_by_another_mask(smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, Wavelet("haar", 2))
    predicted = rd.encode(images64).target
    explainer = RDE(rd, 0.05, SHORT.but(steps=80))
    own, other = explainer.explain(images64).mask, explainer.explain(images64, (predicted + 1) % 4).mask
    assert ((own - other).abs().mean(1) > 0.01).all()


def test_published_preset_moves_an_entry_by_its_learning_rate_per_step(smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, Wavelet("haar", 2))
    paper = PRESETS["paper"]
    assert (paper.steps, paper.samples, paper.lr, paper.schedule) == (2000, 64, 1e-3, "constant")
    masks = []
    RDE(rd, 50.0, paper.but(steps=3, samples=1)).explain(images64, on_step=lambda n, mask: masks.append(mask.clone()))
    assert [mask.min().item() for mask in masks] == pytest.approx([0.999, 0.998, 0.997], abs=2e-4)


def test_changed_presets_say_so_in_their_name():
    fast = PRESETS["fast"]
    assert fast.but() is fast
    assert fast.but(steps=None, lr=fast.lr) is fast
    changed = fast.but(steps=200, samples=None, lr=0.001)
    assert changed.name == "fast, steps=200, lr=0.001"
    assert (changed.steps, changed.samples, changed.lr) == (200, fast.samples, 0.001)
    assert {preset.name for preset in PRESETS.values()} == set(PRESETS)


def test_settings_tell_everything_that_changes_the_result(tiny_classifier):
    rd = RateDistortion(tiny_classifier, HAAR)
    settings = RDE(rd, 3.0, SHORT, "startgrad", seed=4).settings()
    assert settings["preset"] == "short"
    assert (settings["steps"], settings["samples"], settings["lr"], settings["seed"]) == (250, 2, 4e-2, 4)
    assert (settings["lambda_k"], settings["init"], settings["schedule"]) == (3.0, "startgrad", "cosine")
    assert RDE(rd, preset="paper").settings()["lambda_k"] == PRESETS["paper"].lambda_k
    with_norm = RateDistortion(tiny_classifier, HAAR, distortion="l2")
    assert [RDE(problem, preset="fast").settings().get("damage") for problem in (rd, with_norm)] == [None, "squared"]


@pytest.mark.parametrize("arguments", [
    {"preset": "slow"}, {"preset": SHORT.but(steps=0)}, {"preset": SHORT.but(samples=0)}, {"preset": SHORT.but(lr=0.0)},
    {"lambda_k": -1.0}, {"lambda_k": float("nan")}, {"lambda_k": float("inf")}, {"preset": SHORT.but(lr=float("nan"))},
])  # fmt: skip
def test_settings_out_of_range_are_refused(arguments, tiny_classifier):
    with pytest.raises(InputError):
        RDE(RateDistortion(tiny_classifier, HAAR), **arguments)


def test_sound_measures_the_empty_mask_on_more_draws_and_pictures_as_ever():
    for dims, draws in ((1, 16), (2, 2), (3, 2)):
        rd = signal_pipeline(dims, Pixel())
        explainer, encoded = RDE(rd, preset="fast"), rd.encode(signals(dims))
        _, empty = explainer._ends(encoded, NoiseStreams.of(encoded.image))
        nothing = torch.zeros(2, encoded.layout.k)
        expected = rd(encoded, nothing, NoiseStreams.of(encoded.image), draws).distortion.mean(1)
        torch.testing.assert_close(empty, expected)
        assert explainer.settings().get("empty_samples", 2) == draws
    assert preset_of("paper", 1) == PRESETS["paper"]  # it has no continuation


def test_fast_takes_more_steps_on_sound():
    assert [preset_of("fast", dims).steps for dims in (1, 2, 3)] == [1600, 800, 800]
    assert preset_of("converged", 1).steps == PRESETS["converged"].steps
