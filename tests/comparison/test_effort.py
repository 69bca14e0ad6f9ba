"""Budgets of classifier passes: what is planned is what is counted."""

import pytest
import torch

from amortex.amortized.config import PredictorConfig
from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.comparison.effort import FromOrdering, affordable_steps, expected_passes, from_afar
from amortex.explainers.presets import finetuning
from amortex.explainers.rde import RDE
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.comparing import compare, table
from helpers.releases import write_release


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


def test_effort_is_counted_in_passes_and_every_start_keeps_to_its_budget(folder):
    few = ("--data.val_images", "1", "--data.batch_size", "1", "--model.effort_lambda_k", "[1, 5]")
    assert compare("--model.sections", "[effort]", "--model.effort_budgets", "[4, 20]", *few) == 0
    effort = table(folder / "report", "effort")
    assert float(effort["from ones@1", "J@5"]["mean"]) == pytest.approx(5.0, abs=1e-4)
    assert float(effort["empty mask", "passes"]["mean"]) == 1  # the class itself
    for start in ("ones", "startgrad", "sensitivity", "the sensitivity ordering"):
        assert ("from " + start + "@4", "passes") not in effort  # less than one step
        assert 20 - 6 < float(effort[f"from {start}@20", "passes"]["mean"]) - 1 <= 20
    assert float(effort["CartoonX, converged", "J@1"]["mean"]) < float(effort["from ones@20", "J@1"]["mean"])
    assert "Amortization gap" in (folder / "report/report.md").read_text()


def test_trained_explainers_keep_to_their_budgets_and_have_rows_of_their_own(folder):
    write_release(folder / "mine", learned_steps=1)
    few = ("--data.val_images", "1", "--data.batch_size", "1", "--model.effort_lambda_k", "[1]",
           "--model.lambda_k", "[1]")  # fmt: skip
    ours = ("--model.explainers.mine", "mine", "--model.effort_budgets", "[1, 4, 16]", "--model.finetune_steps", "[2]")
    assert compare("--model.methods", "[magnitude]", "--model.sections", "[methods, effort]", *ours, *few) == 0
    effort, native = (table(folder / "report", name) for name in ("effort", "native"))
    passes = {row: float(values["mean"]) for (row, column), values in effort.items() if column == "passes"}
    assert "mine@1" not in passes  # a look takes four
    assert [passes[row] for row in ("mine@4", "mine@16", "mine, learned steps@16")] == [4, 16, 16]
    assert float(effort["mine@4", "J@1"]["mean"]) == float(effort["mine, learned steps@4", "J@1"]["mean"])
    assert float(native["mine + 2 steps", "passes"]["mean"]) == 4 + 2 * 6
    assert float(native["mine", "objective"]["mean"]) > 0
