"""Refined masks of every rate, in any batch, and with outputs that are not finite."""

import pytest
import torch

from amortex.amortized.config import PredictorConfig
from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.training.config import RefinementConfig
from amortex.transforms.wavelet import Wavelet
from helpers.predictors import stirred


@pytest.mark.parametrize("arguments", [
    {}, {"rate": 0.1}, {"rate": 0.9}, {"rate": 0.1, "hard": True}, {"hard": True}, {"select_rate": True},
    {"select_rate": True, "hard": True}, {"max_distortion": 0.02},
])  # fmt: skip
def test_whatever_is_asked_of_the_rate_holds_for_refined_masks_in_any_batch(arguments, predictor, images):
    explainer = Amortized(stirred(predictor), 0.5, learned_steps=3, **arguments)
    together = explainer.explain(images)
    rates = together.mask.mean(1)
    if "rate" in arguments:
        tolerance = 0.5 / together.mask.shape[1] if "hard" in arguments else 1e-5
        torch.testing.assert_close(rates, torch.full((3,), arguments["rate"]), rtol=0, atol=tolerance)
    if "hard" in arguments:
        assert set(together.mask.unique().tolist()) <= {0.0, 1.0}
    if "max_distortion" in arguments:
        outcome = predictor.rate_distortion(
            together.encoded, together.mask, NoiseStreams.of(images, stream="check"), 64
        )
        assert ((outcome.distortion.mean(1) < 0.02) | (rates == 1)).all()
    for index in range(3):
        alone = explainer.explain(images[index : index + 1])
        torch.testing.assert_close(alone.mask[0], together.mask[index], rtol=0, atol=1e-4)
        assert alone.extra["passes"].item() == together.extra["passes"][index].item()


def test_batch_invariant_masks_are_equal_to_the_last_bit(predictor, images):
    predictor.rate_distortion.batch_invariant = True
    explainer, steps = Amortized(stirred(predictor), learned_steps=3), []
    together = explainer.explain(images, on_step=lambda step, mask: steps.append(step))
    assert steps == [1, 2, 3]
    for index in range(3):
        alone = explainer.explain(images[index : index + 1])
        assert torch.equal(alone.mask[0], together.mask[index])
        assert torch.equal(alone.relevance[0], together.relevance[index])
    on_a_path = Amortized(predictor, rate=0.4, learned_steps=3)
    assert torch.equal(on_a_path.explain(images[1:2]).mask[0], on_a_path.explain(images).mask[1])
    given = explainer.explain(images, torch.tensor([1, 2, 3]))
    assert given.encoded.target.tolist() == [1, 2, 3]
    assert torch.equal(explainer.explain(images[1:2], torch.tensor([2])).mask[0], given.mask[1])


@pytest.mark.parametrize(
    "arguments", [{}, {"hard": True}, {"hard": True, "select_rate": True}, {"max_distortion": 0.1}]
)
def test_outputs_that_are_not_finite_cost_their_own_image_alone(arguments, images):
    classifier = load_classifier("helpers.networks.NanOnWhite", input_size=32, mean=[0.5], std=[0.5])
    predictor = MaskPredictor(
        RateDistortion(classifier, Wavelet("haar", 2)), PredictorConfig(width=8), refiner=True
    ).eval()
    explainer = Amortized(stirred(predictor), learned_steps=2, **arguments)
    white = torch.cat([images[:1], torch.ones_like(images[:1])])
    torch.testing.assert_close(
        explainer.explain(white).mask[0], explainer.explain(images[:1]).mask[0], rtol=0, atol=1e-4
    )


def test_learned_steps_need_an_explainer_that_learned_them(tiny_classifier, predictor):
    plain = MaskPredictor(RateDistortion(tiny_classifier, Wavelet("haar", 2)), PredictorConfig(width=8))
    with pytest.raises(InputError, match="learned no refinement"):
        Amortized(plain, learned_steps=1)
    for arguments in ({"learned_steps": -1}, {"learned_steps": 2, "finetune_steps": 2, "rate": 0.1}):
        with pytest.raises(InputError):
            Amortized(predictor, **arguments)
    for arguments in ({"steps": -1}, {"only": True}):
        with pytest.raises(InputError, match=r"refinement\.steps"):
            RefinementConfig(**arguments)
