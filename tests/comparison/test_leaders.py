"""The best rows of a comparison, and which others cannot be told from them."""

import pytest
import torch

from amortex.comparison.config import ComparisonConfig
from amortex.comparison.effort import TEACHER
from amortex.comparison.leaders import FEWEST_IMAGES, told_apart
from amortex.comparison.report import leader_texts
from amortex.comparison.study import Measurements, Study
from amortex.comparison.tables import ComparisonTables

IMAGES = 40
SPREAD = torch.linspace(0.1, 0.9, IMAGES, dtype=torch.float64)  # between images: far more than between rows
NOISE = 0.02 * torch.randn(IMAGES, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def tables_of(images=IMAGES, section="native", lambda_k=(5.0,), **rows):
    """Tables of rows with a column each: (its name, values of the images)."""
    config = ComparisonConfig(lambda_k=lambda_k)
    studies = [Study(section, name, (column,), lambda batch: torch.empty(0), {}) for name, (column, _) in rows.items()]
    tables = ComparisonTables(config, studies)
    measured = {(section, name): Measurements((c,), values[:images, None]) for name, (c, values) in rows.items()}
    tables.update(measured, seeds=range(images))
    return tables


@pytest.mark.parametrize(("column", "sign"), [("l2@0.05", 1), ("insertion", -1)])
def test_rows_are_told_apart_by_the_differences_of_single_images(column, sign):
    alike = SPREAD + NOISE - NOISE.mean() + sign * 1e-4
    values = {"best": SPREAD, "alike": alike, "worse": SPREAD + sign * 0.02 + NOISE.flip(0)}
    (leader,) = tables_of(**{name: (column, v) for name, v in values.items()}).leaders()
    assert (leader.row, leader.equals, leader.highest) == ("best", ("alike",), sign < 0)
    assert leader.value.mean == pytest.approx(SPREAD.mean().item())
    assert leader.value.high - leader.value.low > 0.1  # the intervals of the means alone tell nothing apart


def test_of_many_rows_that_are_as_good_hardly_ever_one_is_left_out():
    generator = torch.Generator().manual_seed(0)
    left_out = 0
    for _ in range(40):
        rows = torch.randn(12, IMAGES, generator=generator, dtype=torch.float64)
        weights = torch.poisson(torch.ones(IMAGES, 400, dtype=torch.float64), generator)
        weights = torch.cat([torch.ones(IMAGES, 1), weights], 1)
        means = rows @ weights / weights.sum(0)
        left_out += bool(told_apart(means, int(means[:, 0].argmin())).any())
    assert left_out <= 6  # 40 x 5 % are expected to be 2; one by one at 95 % it would be half of them and more


def test_rows_of_few_images_or_other_measures_have_no_best():
    pair = {"a": ("l2@0.05", SPREAD), "b": ("l2@0.05", SPREAD)}
    assert tables_of(images=FEWEST_IMAGES, **pair).leaders()[0].equals == ("b",)
    assert not tables_of(images=FEWEST_IMAGES - 1, **pair).leaders()
    assert not tables_of(a=("l2@0.05", SPREAD)).leaders()
    for column in ("seconds", "l2@0.03", "l2"):  # no measure; a rate of many; of the mask as it is: rates differ
        assert not tables_of(a=(column, SPREAD), b=(column, SPREAD)).leaders()


def test_rows_are_compared_on_the_same_images_alone():
    easy = SPREAD.where(SPREAD < 0.5, torch.nan) + 0.05  # worse wherever it has a value, and better in the mean
    tables = tables_of(easy=("deletion", easy), b=("deletion", SPREAD), c=("deletion", SPREAD + 0.2))
    (leader,) = tables.leaders()
    assert (leader.row, leader.equals) == ("b", ())
    assert not tables_of(a=("deletion", SPREAD * torch.nan), b=("deletion", SPREAD * torch.nan)).leaders()


def test_methods_that_are_not_available_are_never_best():
    tables = tables_of(a=("deletion", SPREAD), b=("deletion", SPREAD + 0.1), c=("deletion", SPREAD + 0.2))
    (leader,) = tables.leaders(without={("native", "a")})
    assert (leader.row, leader.equals) == ("b", ())


def test_objectives_of_other_sparsity_weights_are_not_compared():
    rows = {"a": ("best_objective", SPREAD), "b": ("best_objective", SPREAD + 0.1)}
    assert tables_of(**rows).leaders()[0].row == "a"
    assert not tables_of(lambda_k=(1.0, 5.0), **rows).leaders()


def test_each_budget_of_passes_has_its_own_best():
    rows = {TEACHER: SPREAD, "mine@4": 3 * SPREAD, "ones@4": 9 * SPREAD, "mine@16": 2 * SPREAD, "ones@16": 2 * SPREAD}
    found = tables_of(section="effort", **{name: ("J@5", values) for name, values in rows.items()}).leaders()
    assert [(leader.row, leader.equals) for leader in found] == [("mine@4", ()), ("mine@16", ("ones@16",))]
    assert "16 passes" in found[1].measure
    text = "\n".join(leader_texts(found, {"mine@4": "Mine@4"}, "sound"))
    assert "sound by sound" in text
    assert "4 passes (lowest) | Mine@4: 3" in text


def test_budgets_are_compared_by_the_objective_and_not_by_its_noisy_ratio():
    teacher = torch.full((8,), 0.001, dtype=torch.float64)
    teacher[0] = 1.0  # decides the ratio: that of a replicate with this image and of one without it differ by 100
    mine = 0.1 + SPREAD[:8]
    rows = {TEACHER: teacher, "mine@4": mine, "ones@4": mine + 0.2 + NOISE[:8]}
    (leader,) = tables_of(8, "effort", **{name: ("J@5", values) for name, values in rows.items()}).leaders()
    assert (leader.row, leader.equals) == ("mine@4", ())


def test_a_teacher_without_an_objective_has_no_ratios():
    rows = {TEACHER: 0 * SPREAD, "mine@4": SPREAD, "ones@4": SPREAD}
    assert not tables_of(section="effort", **{name: ("J@5", values) for name, values in rows.items()}).leaders()
