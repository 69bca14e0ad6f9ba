"""Budgets of classifier passes: what is planned is what is spent, and the best mask is kept."""

import pytest
import torch

from amortex.amortized.config import PredictorConfig, RefinementSchedule
from amortex.amortized.explainer import Amortized
from amortex.amortized.pass_plan import PassPlan, best_of, refined_masks
from amortex.amortized.predictor import MaskPredictor
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.predictors import stirred


@pytest.mark.parametrize("passes", [*range(4, 70), 128, 200, 256, 1000, 4001])
def test_a_plan_spends_its_passes_and_no_more(passes):
    plan = PassPlan.of(passes, prediction=4)
    candidates = (2 if not plan.settling else 3) if plan.draws else 0
    spent = 4 + 3 * plan.steps + candidates * plan.draws + 2 * bool(plan.settling)
    assert passes - 3 < spent <= passes


def test_nothing_is_chosen_by_draws_that_cannot_tell():
    assert PassPlan.of(252, prediction=4, telling_draws=4) == PassPlan(82)
    assert PassPlan.of(256, prediction=4, telling_draws=4).draws == 4
    assert PassPlan.of(64, prediction=4) == PassPlan(19, draws=1)


def test_a_plan_needs_the_passes_of_a_prediction():
    with pytest.raises(InputError, match="at least 4"):
        PassPlan.of(3, prediction=4)


@pytest.mark.parametrize("passes", [4, 16, 40, 600])
def test_the_passes_that_are_asked_for_are_spent_and_counted(passes, predictor, images):
    steps = []
    explainer = Amortized(stirred(predictor), 0.5, passes=passes)
    together = explainer.explain(images, on_step=lambda step, mask: steps.append(step))
    assert steps == list(range(1, explainer.steps + 1))
    (spent,) = set(together.extra["passes"].tolist())
    assert passes - 3 < spent <= passes
    alone = explainer.explain(images[1:2])
    torch.testing.assert_close(alone.mask[0], together.mask[1], rtol=0, atol=1e-4)
    assert explainer.settings()["passes"] == passes


def test_a_rate_can_be_asked_of_masks_of_so_many_passes(predictor, images):
    explanation = Amortized(stirred(predictor), 0.5, rate=0.05, passes=600).explain(images)
    torch.testing.assert_close(explanation.mask.mean(1), torch.full((3,), 0.05), rtol=0, atol=1e-5)


def test_an_empty_mask_that_is_best_is_kept_with_an_order_of_the_entries(predictor, images):
    explanation = Amortized(stirred(predictor), 1e6, passes=40).explain(images)
    assert explanation.mask.count_nonzero() == 0
    assert all(len(relevance.unique()) > 10 for relevance in explanation.relevance)


def test_the_best_mask_of_each_input_is_chosen(smooth_classifier):
    rd = RateDistortion(smooth_classifier, Wavelet("haar", 2))
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    encoded = rd.encode(torch.cat([image, image.flip(3)]))
    masks = [torch.full((2, encoded.layout.k), value, dtype=torch.float64) for value in (0.0, 0.5, 1.0)]
    masks[1][0] = torch.nan
    for lambda_k in (1e-6, 1e6):  # all is kept, or nothing
        chosen = best_of(rd, encoded, masks, lambda_k, NoiseStreams.of(encoded.image), 4)
        assert torch.equal(chosen, masks[2 if lambda_k < 1 else 0])


@pytest.mark.parametrize(("arguments", "message"), [
    ({"passes": 3}, "at least 4"), ({"passes": 40, "learned_steps": 2}, "give one of them"),
    ({"passes": 40, "finetune_steps": 2}, "leave one of them out"),
])  # fmt: skip
def test_passes_that_make_no_sense_are_refused(arguments, message, predictor):
    with pytest.raises(InputError, match=message):
        Amortized(stirred(predictor), **arguments)


def test_passes_need_learned_refinement_and_the_predicted_class(tiny_classifier, predictor):
    plain = MaskPredictor(RateDistortion(tiny_classifier, Wavelet("haar", 2)), PredictorConfig(width=8))
    with pytest.raises(InputError, match=r"learned no refinement.*leave out passes"):
        Amortized(plain, passes=40)
    with pytest.raises(InputError, match="leave out passes"):
        Amortized(stirred(predictor), passes=40).for_target()


@pytest.mark.parametrize("unrolled", [False, True])
def test_settling_starts_from_steps_whose_sparsity_weight_rises(predictor, images, unrolled):
    predictor.schedule = RefinementSchedule(falling_steps=(4, 4), unrolled=unrolled)
    seen: list[float] = []
    predictor.decoder.refiner.register_forward_hook(
        lambda module, arguments, state: seen.append(arguments[2].mean().item())
    )
    prediction = predictor(images, streams=NoiseStreams.of(images))
    for plan in (PassPlan(4), PassPlan(4, settling=2, draws=1)):
        refined_masks(predictor, prediction, 2.0, plan, 0, lambda step, mask: None)
    assert seen[0] > 4 * seen[4]
    assert seen[4:] == sorted(seen[4:])
