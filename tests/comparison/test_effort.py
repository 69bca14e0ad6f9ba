"""Budgets of classifier passes: what is planned is what is counted."""

import pytest
import torch

from amortex.amortized.config import PredictorConfig
from amortex.amortized.explainer import Amortized, finetuning
from amortex.amortized.predictor import MaskPredictor
from amortex.comparison.effort import FromOrdering, affordable_steps, expected_passes, from_afar
from amortex.explainers.rde import RDE
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet


@pytest.fixture
def rd(tiny_classifier):
    return RateDistortion(tiny_classifier, Wavelet("haar", 2))


def counted(explainer, images):
    with explainer.rate_distortion.classifier.count_passes(len(images)) as counter:
        explainer.explain(images)
    (passes,) = set(counter.per_image.tolist())
    return passes


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("start", ["ones", "startgrad", "sensitivity", "ordering"])
def test_cartoonx_takes_as_many_passes_as_expected(start, steps, rd, images):
    if start == "ordering":
        explainer, start = FromOrdering(rd, 5.0, finetuning(steps)), "sensitivity"
    else:
        explainer = RDE(rd, 5.0, from_afar(steps), start)
    assert counted(explainer, images) == expected_passes(start, steps) + 1  # the class itself


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("gradient", [False, True])
def test_trained_explainers_take_as_many_passes_as_expected(gradient, steps, rd, images):
    torch.manual_seed(0)
    predictor = MaskPredictor(rd, PredictorConfig(gradient=gradient, width=8), refiner=True).eval()
    finetuned = Amortized(predictor, learned_steps=0, finetune_steps=steps)
    assert counted(finetuned, images) == expected_passes(predictor, steps)
    learned = Amortized(predictor, learned_steps=steps)
    assert counted(learned, images) == expected_passes(predictor, steps, draws=1)
    assert learned.explain(images).extra["passes"].tolist() == [expected_passes(predictor, steps, draws=1)] * 3


@pytest.mark.parametrize("start", ["ones", "startgrad", "sensitivity"])
def test_a_budget_pays_for_its_steps_and_for_no_further_one(start):
    for budget in range(12, 80):
        steps = affordable_steps(budget, start)
        assert expected_passes(start, steps) <= budget < expected_passes(start, steps + 1)
