"""Tables of a comparison: means over images, and ratios of rows that are found by name."""

import pytest
import torch

from amortex.comparison.config import ComparisonConfig
from amortex.comparison.effort import TEACHER
from amortex.comparison.report import variant_texts
from amortex.comparison.study import Measurements, Study
from amortex.comparison.tables import ComparisonTables
from amortex.core.errors import InputError

CONFIG = ComparisonConfig(
    methods=("cartoonx",), explainers={"mine": "a folder"}, training_seconds={"mine": 90.0}, lambda_k=(1.0, 5.0)
)


def study(section, name, *columns):
    return Study(section, name, columns, lambda batch: torch.empty(0), {})


def test_ratios_are_of_rows_and_columns_by_name():
    studies = [study("native", "cartoonx, lambda_k = 1", "seconds", "passes"),
               study("native", "mine, lambda_k = 1", "passes", "seconds"),
               study("effort", TEACHER, "J@1", "passes"), study("effort", "mine@4", "passes", "J@1")]  # fmt: skip
    values = ([10.0, 12000.0], [4.0, 1.0], [0.1, 12000.0], [4.0, 0.3])
    tables = ComparisonTables(CONFIG, studies)
    tables.update(
        {
            (study.section, study.name): Measurements(study.columns, torch.tensor([row, row]))
            for study, row in zip(studies, values, strict=True)
        },
        seeds=[1, 2],
    )
    assert tables.compute()["native"]["mine, lambda_k = 1"]["passes"].mean == 4
    assert tables.gaps()["mine@4"]["gap"].mean == pytest.approx(3.0)
    assert tables.break_evens()["mine"].mean == pytest.approx(10.0)


def test_rows_of_methods_that_are_not_available_are_left_out():
    studies = [study("native", "cartoonx, lambda_k = 1", "seconds"), study("native", "mine, lambda_k = 1", "seconds")]
    tables = ComparisonTables(CONFIG, studies)
    tables.update({("native", "mine, lambda_k = 1"): Measurements(("seconds",), torch.tensor([[1.0], [2.0]]))}, [1, 2])
    assert tables.compute()["native"]["mine, lambda_k = 1"]["seconds"].mean == 1.5
    assert tables.break_evens()["mine"].images == 0


@pytest.mark.parametrize("rates", [(0.5, 0.1), (0.1,), (0.1, 2.0), (0.0, 0.001, 0.2), (0.1, 0.1), (0.1, 0.1000001)])
def test_rates_without_an_area_are_refused(rates):
    with pytest.raises(InputError, match="rates must rise from 0 to 1"):
        ComparisonConfig(rates=rates)


def test_two_rows_of_one_name_are_refused():
    with pytest.raises(InputError, match="2 rows are called 'cartoonx'"):
        ComparisonTables(ComparisonConfig(), [study("native", "cartoonx", "cp"), study("native", "cartoonx", "cp")])
    ComparisonTables(ComparisonConfig(), [study("native", "cartoonx", "cp"), study("leakage", "cartoonx", "cp")])


@pytest.mark.parametrize(
    ("variant", "why"),
    [
        ({"init": "zeros"}, "names no method"),
        ({"method": "cartoon"}, "unknown method 'cartoon': did you mean cartoonx"),
        ({"method": "cartoonx", "rate": 0.1}, "unknown option of cartoonx in the variant 'mine' 'rate'"),
        ({"method": "cartoonx", "preset": "fats"}, "unknown preset in the variant 'mine' 'fats': did you mean fast"),
        ({"method": "cartoonx", "init": 1}, "unknown init in the variant 'mine' 1"),
        ({"method": "cartoonx", "lambda_k": "5"}, "lambda_k in the variant 'mine' must be a number, not '5'"),
        ({"method": "cartoonx", "steps": 2.5}, "steps in the variant 'mine' must be a whole number, not 2.5"),
    ],
)
def test_variants_that_are_none_get_one_line(variant, why):
    with pytest.raises(InputError, match=why):
        ComparisonConfig(variants={"mine": variant})


def test_differences_are_taken_image_by_image():
    config = ComparisonConfig(methods=("cartoonx", "shearletx"), reference="cartoonx")
    studies = [study("native", "cartoonx", "cp", "scale_1"), study("native", "shearletx", "seconds", "cp")]
    tables = ComparisonTables(config, studies)
    values = {"cartoonx": [[1.0, 0.0], [100.0, 0.0], [10.0, 0.0]], "shearletx": [[9.0, 1.5], [9.0, 101.0], [9.0, 10.5]]}
    for image in range(3):
        tables.update(
            {
                ("native", row.name): Measurements(row.columns, torch.tensor([values[row.name][image]]))
                for row in studies
            },
            [image],
        )
    (difference,) = tables.compute()["differences"].values()
    assert list(difference) == ["cp"]
    assert difference["cp"].mean == pytest.approx(2 / 3)
    assert 0.5 <= difference["cp"].low < difference["cp"].high <= 1  # the means themselves: from 1 to 100
    with pytest.raises(InputError, match="'cartoon' is no row of the section methods: use one of cartoonx, shearletx"):
        ComparisonTables(ComparisonConfig(reference="cartoon"), studies)
    assert "differences" not in ComparisonTables(ComparisonConfig(), studies).compute()


def test_the_report_says_the_settings_of_variants():
    config = ComparisonConfig(variants={"from zeros": {"method": "cartoonx", "init": "zeros"}})
    assert list(variant_texts(config))[-1] == '- from zeros: `{"method": "cartoonx", "init": "zeros"}`'
    assert list(variant_texts(CONFIG)) == []
