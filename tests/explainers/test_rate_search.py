"""The sparsest masks that hold a bound."""

import pytest
import torch

from amortex.core.errors import InputError
from amortex.core.masks import energy, log_spaced_rates, top_share
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers import build_explainer
from amortex.explainers.presets import SelectionConfig
from amortex.explainers.rate_search import MaxDistortion, MinRetention, Retaining, retention_samples
from amortex.obfuscations.constant import Constant
from amortex.rate_distortion.certificate import certify
from amortex.rate_distortion.intervals import clopper_pearson
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet


@pytest.fixture
def rd(tiny_classifier):
    return RateDistortion(tiny_classifier, Wavelet("haar", 2))


def test_masks_are_the_sparsest_that_are_sure_to_keep_the_class(rd, images):
    """Each rate by itself, with the draws of the search: first 16 that promise it, then 256 that show it."""
    explainer, rates = Retaining(build_explainer("magnitude", rd), 0.9), log_spaced_rates(16, images.device)
    explanation = explainer.explain(images)
    assert not torch.equal(explanation.mask.mean(1), torch.ones(3))
    for index in range(3):
        encoded = explanation.encoded.of(slice(index, index + 1))
        relevance = explanation.relevance[index : index + 1]
        for column, rate in enumerate(rates.tolist()):
            mask = top_share(relevance, rate, energy(encoded.coefficients))
            shares = []
            for stream, draws in ((f"choose {column}", 16), (f"confirm {column}", 256)):
                outputs = rd.probabilities(encoded, [mask], NoiseStreams.of(encoded.image, 0, stream), draws)[0]
                shares.append((outputs.argmax(-1) == encoded.target[:, None]).sum(1))
            if shares[0] >= 0.9 * 16 - (16 * 0.9 * 0.1) ** 0.5 and clopper_pearson(shares[1], 256)[0] >= 0.9:
                break
        torch.testing.assert_close(explanation.mask[index : index + 1], mask)
    assert (certify(rd, explanation.encoded, explanation.mask, 256).retention > 0.9).all()


def test_masks_are_full_where_none_keeps_the_class(rd, images):
    other = (rd.phi(images).argmax(1) + 1) % 5
    explanation = Retaining(build_explainer("magnitude", rd), 0.99).explain(images, other)
    assert explanation.mask.mean(1).tolist() == [1.0] * 3


def test_one_draw_shows_it_where_the_obfuscation_is_not_random(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2), Constant())
    explanation = Retaining(build_explainer("magnitude", rd), 0.999).explain(images)
    assert certify(rd, explanation.encoded, explanation.mask).retained.all()
    assert (explanation.mask.mean(1) < 1).any()


@pytest.mark.parametrize("value", [0.5, 0.95, 0.99, 0.999])
def test_draws_are_enough_to_show_a_retention(value):
    draws = retention_samples(value)
    assert clopper_pearson(torch.tensor([draws]), draws)[0] >= value
    lost = round(0.4 * draws * (1 - value))
    assert clopper_pearson(torch.tensor([draws - lost]), draws)[0] >= value - 0.01


def test_bounds_out_of_range_are_refused():
    for value in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(InputError, match="min-retention must be above 0 and at most"):
            MinRetention(value)
    for value in (0.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="max-distortion must be above 0 and finite"):
            MaxDistortion(value)


def test_settings_name_the_bound_and_the_explainer_beneath(rd):
    explainer = build_explainer("wam", rd, rate=0.1)
    assert Retaining(explainer, 0.9).settings() == {
        **explainer.settings(), "min_retention": 0.9, "selection": repr(SelectionConfig()),
    }  # fmt: skip
    assert Retaining(explainer, 0.9).for_target().settings() == Retaining(explainer, 0.9).settings()
