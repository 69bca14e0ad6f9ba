"""The amortized explainer: what can be asked of its rate, and `explain.py` with a trained explainer."""

import json
import math

import pytest
import torch

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.amortized.released import CONFIG
from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.presets import SelectionConfig
from amortex.obfuscations.constant import Constant, Zero
from amortex.rate_distortion.certificate import certify
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.releases import write_release


@pytest.fixture(scope="module")
def predictor(tiny_classifier):
    torch.manual_seed(0)
    return MaskPredictor(RateDistortion(tiny_classifier, Wavelet("haar", 2))).eval()


@pytest.fixture
def release(tmp_path):
    return write_release(tmp_path / "release")


@pytest.mark.parametrize("rate", [0.01, 0.05, 1.0])
def test_soft_masks_have_the_rate_and_hard_ones_keep_the_share(rate, predictor, images):
    soft = Amortized(predictor, rate=rate).explain(images)
    torch.testing.assert_close(soft.mask.mean(1), torch.full((3,), rate), rtol=1e-4, atol=0)
    hard = Amortized(predictor, rate=rate, hard=True).explain(images)
    k = hard.mask.shape[1]
    assert hard.mask.sum(1).tolist() == [round(rate * k)] * 3
    assert set(hard.mask.unique().tolist()) <= {0.0, 1.0}
    kept, dropped = (torch.where(hard.mask == v, soft.relevance, torch.nan) for v in (1, 0))
    if rate < 1:
        assert (kept.nan_to_num(2).amin(1) >= dropped.nan_to_num(-1).amax(1) - 1e-6).all()


def test_inference_mode_does_not_matter(predictor, images):
    expected = Amortized(predictor, finetune_steps=2).explain(images).mask
    with torch.inference_mode():
        assert torch.equal(Amortized(predictor, finetune_steps=2).explain(images.clone()).mask, expected)


def test_measuring_finds_a_rate_at_least_as_good_and_counts_its_passes(predictor, images):
    predicted, best = Amortized(predictor, 0.5), Amortized(predictor, 0.5, select_rate=True)
    rd = predictor.rate_distortion
    values = []
    for explainer in (predicted, best):
        explanation = explainer.explain(images)
        outcome = rd(explanation.encoded, explanation.mask, NoiseStreams.of(images, stream="check"), 64)
        values.append(outcome.distortion.mean(1) + 0.5 * outcome.rate)
    assert (values[1] <= values[0] + 0.02).all()
    assert predicted.explain(images).extra["passes"].tolist() == [4] * 3
    passes = best.explain(images).extra["passes"]
    selection = SelectionConfig()
    assert ((passes - 4) % selection.samples == 0).all()
    assert passes.max() <= 4 + selection.rates * selection.samples
    assert best.explain(images[1:2]).extra["passes"] == passes[1]


def test_without_noise_there_is_one_draw_to_measure(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), Zero())
    predictor, seen = MaskPredictor(rd).eval(), []
    handle = tiny_classifier.model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    measured = Amortized(predictor, select_rate=True).explain(images[:1])
    forward = sum(seen)
    handle.remove()
    passes = measured.extra["passes"].item()
    assert 4 < passes <= 4 + 16
    assert forward <= passes
    assert Amortized(predictor, finetune_steps=3).explain(images[:1]).extra["passes"].item() == 4 + 3 * 3


def test_rates_whose_distortion_is_no_number_are_not_chosen():
    classifier = load_classifier("helpers.networks.NanOnNoise", "random", input_size=32, mean=[0.5], std=[0.5])
    predictor = MaskPredictor(RateDistortion(classifier, Wavelet("haar", 2))).eval()
    smooth = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    explanation = Amortized(predictor, select_rate=True).explain(smooth)
    outcome = predictor.rate_distortion(explanation.encoded, explanation.mask, NoiseStreams.of(smooth), 4)
    assert outcome.distortion.isfinite().all()


def test_the_sparsest_mask_below_a_distortion(predictor, images):
    rd = predictor.rate_distortion
    rates = []
    for bound in (0.5, 0.02, 1e-3):
        explanation = Amortized(predictor, max_distortion=bound).explain(images)
        certificate = certify(rd, explanation.encoded, explanation.mask, 64)
        rates.append(certificate.rate)
        full = rd(explanation.encoded, torch.ones_like(explanation.mask), NoiseStreams.of(images), 4).distortion.mean(1)
        assert (certificate.distortion < torch.maximum(full + 1e-6, torch.full_like(full, bound))).all()
    assert (torch.stack(rates).diff(dim=0) >= 0).all()
    assert rates[2].min() > rates[0].max()


def test_where_no_distortion_is_a_number_the_mask_is_full(images):
    classifier = load_classifier("helpers.networks.NanOnWhite", input_size=32, mean=[0.5], std=[0.5])
    predictor = MaskPredictor(RateDistortion(classifier, Wavelet("haar", 2), Constant())).eval()
    white = torch.ones_like(images[:1])
    for arguments in ({"select_rate": True}, {"max_distortion": 0.1}):
        assert (Amortized(predictor, **arguments).explain(white).mask == 1).all()


def test_relevance_ranks_where_the_mask_is_full(predictor, images):
    for hard in (False, True):
        explanation = Amortized(predictor, rate=1.0, hard=hard).explain(images)
        assert (explanation.mask == 1).all()
        assert explanation.relevance.std(1).min() > 0


def test_refining_lowers_the_objective(predictor, images):
    rd, values = predictor.rate_distortion, []
    for refine in (0, 30):
        steps = []
        explainer = Amortized(predictor, 1.0, finetune_steps=refine)
        explanation = explainer.explain(images, on_step=lambda step, mask, seen=steps: seen.append(step))
        assert len(steps) == explainer.steps
        outcome = rd(explanation.encoded, explanation.mask, NoiseStreams.of(images, stream="check"), 64)
        values.append((outcome.distortion.mean(1) + outcome.rate).mean().item())
    assert values[1] < values[0]


def test_results_repeat_and_do_not_depend_on_the_batch(predictor, images):
    explainer = Amortized(predictor, 1.0)
    together = explainer.explain(images).mask
    assert torch.equal(explainer.explain(images).mask, together)
    for index in range(3):
        alone = explainer.explain(images[index : index + 1]).mask
        torch.testing.assert_close(alone[0], together[index], rtol=0, atol=1e-4)
    assert explainer.attribute(images, target=2).shape == images.shape


@pytest.mark.parametrize("arguments", [
    {"rate": 0.0}, {"rate": 1.1}, {"rate": 0.1, "select_rate": True}, {"max_distortion": 0.0}, {"finetune_steps": -1},
    {"max_distortion": 0.1, "rate": 0.1}, {"finetune_steps": 2, "hard": True},
    {"finetune_steps": 2, "rate": 0.1}, {"lambda_k": math.nan}, {"lambda_k": -1.0},
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(arguments, predictor):
    with pytest.raises(InputError):
        Amortized(predictor, **arguments)


def test_a_damaged_release_is_refused(release):
    original = json.loads((release / CONFIG).read_text())
    settings = original["settings"]
    for change in ({"settings": {**settings, "problem": {**settings["problem"], "levels": "x"}}},
                   {"settings": {"classifier": "resnet18"}}, {"settings": [1]}, {"identity": []},
                   {"identity": {}}):  # fmt: skip
        (release / CONFIG).write_text(json.dumps({**original, **change}))
        with pytest.raises(InputError):
            load_predictor(release, classifier="helpers.networks.TinyNet")


def test_a_sparsity_weight_beyond_training_is_said(tmp_path, caplog):
    predictor = load_predictor(write_release(tmp_path / "refining", learned_steps=2), "helpers.networks.TinyNet")
    low, high = predictor.lambda_range
    for lambda_k, said in ((low, False), (high, False), (high * 1.01, True), (low / 1.01, True)):
        caplog.clear()
        Amortized(predictor, lambda_k)
        assert ("for which this explainer was trained" in caplog.text) == said
    caplog.clear()
    Amortized(predictor, high * 2, learned_steps=0)  # the weight only chooses among rates, which it was not trained for
    assert not caplog.text
