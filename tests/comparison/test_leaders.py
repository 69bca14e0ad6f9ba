"""The best rows of a comparison, and which others cannot be told from them."""

import pytest
import torch

from amortex.comparison.config import ComparisonConfig
from amortex.comparison.effort import TEACHER
from amortex.comparison.report import leader_texts
from amortex.comparison.study import Measurements, Study
from amortex.comparison.tables import ComparisonTables

IMAGES = 40
SPREAD = torch.linspace(0.1, 0.9, IMAGES, dtype=torch.float64)  # between images: far more than between rows
NOISE = 0.02 * torch.randn(IMAGES, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def tables_of(images=IMAGES, section="native", **rows):
    """Tables of rows with a column each: (its name, values of the images)."""
    studies = [Study(section, name, (column,), lambda batch: torch.empty(0), {}) for name, (column, _) in rows.items()]
    tables = ComparisonTables(ComparisonConfig(), studies)
    measured = {(section, name): Measurements((c,), values[:images, None]) for name, (c, values) in rows.items()}
    tables.update(measured, seeds=range(images))
    return tables


@pytest.mark.parametrize(("column", "sign"), [("l2@0.05", 1), ("insertion", -1)])
def test_rows_are_told_apart_by_the_differences_of_single_images(column, sign):
    values = {"best": SPREAD, "alike": SPREAD + NOISE - NOISE.mean() + sign * 1e-4, "worse": SPREAD + sign * 0.02}
    (leader,) = tables_of(**{name: (column, v) for name, v in values.items()}).leaders()
    assert (leader.row, leader.equals, leader.highest) == ("best", ("alike",), sign < 0)
    assert leader.value.mean == pytest.approx(SPREAD.mean().item())
    assert leader.value.high - leader.value.low > 0.1  # the interval of the mean alone tells nothing apart


def test_rows_of_few_images_or_measures_have_no_best():
    assert not tables_of(images=1, a=("l2@0.05", SPREAD), b=("l2@0.05", SPREAD)).leaders()
    assert not tables_of(a=("l2@0.05", SPREAD)).leaders()
    assert not tables_of(a=("seconds", SPREAD), b=("seconds", SPREAD)).leaders()
    assert not tables_of(a=("l2", SPREAD), b=("l2", SPREAD)).leaders()  # of the mask as it is: rates differ


def test_methods_that_are_not_available_are_never_best():
    tables = tables_of(a=("deletion", SPREAD), b=("deletion", SPREAD + 0.1), c=("deletion", SPREAD + 0.2))
    (leader,) = tables.leaders(without={("native", "a")})
    assert (leader.row, leader.equals) == ("b", ())
    missing = tables_of(a=("deletion", SPREAD * torch.nan), b=("deletion", SPREAD), c=("deletion", SPREAD + 0.1))
    assert [found.row for found in missing.leaders()] == ["b"]


def test_each_budget_of_passes_has_its_own_best():
    rows = {TEACHER: SPREAD, "mine@4": 3 * SPREAD, "ones@4": 9 * SPREAD, "mine@16": 2 * SPREAD, "ones@16": 2 * SPREAD}
    found = tables_of(section="effort", **{name: ("J@5", values) for name, values in rows.items()}).leaders()
    assert [(leader.row, leader.equals) for leader in found] == [("mine@4", ()), ("mine@16", ("ones@16",))]
    assert "16 passes" in found[1].measure
    text = "\n".join(leader_texts(found, {"mine@4": "Mine@4"}, "sound"))
    assert "sound by sound" in text
    assert "4 passes (lowest) | Mine@4: 3" in text
