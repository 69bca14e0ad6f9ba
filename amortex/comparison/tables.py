"""Means (and medians) over all images: the tables of a comparison, and what takes two rows: ratios, differences."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import nn

from amortex.comparison.config import ComparisonConfig, row_name
from amortex.comparison.effort import OBJECTIVE, TEACHER
from amortex.comparison.headings import HEADINGS
from amortex.comparison.leaders import Compared, Leader, leaders
from amortex.comparison.study import Measurements, Study
from amortex.core.errors import InputError
from amortex.metrics import AmortizationGap, BreakEven, ImageMean, Interval

Table = dict[str, dict[str, Interval]]  # row -> column -> interval


class ComparisonTables(nn.Module):
    """Means and medians of studies over images; the states are summed across devices.

    Arguments:
        config: settings of the comparison.
        studies: rows of the tables.

    Raises:
        InputError: the reference is none of the rows; two rows of a section have one name.
    """

    def __init__(self, config: ComparisonConfig, studies: Sequence[Study]) -> None:
        super().__init__()
        for (_, name), count in Counter((study.section, study.name) for study in studies).items():
            if count > 1:
                raise InputError(f"{count} rows are called {name!r}: give each method once, and variants other labels")
        self.config, self.studies = config, list(studies)
        self._means = [ImageMean(study.columns, study.medians) for study in studies]
        starts = [study.name for study in studies if study.section == "effort" and study.name != TEACHER]
        self._gaps = {name: AmortizationGap() for name in starts}
        self._break_evens = {name: BreakEven(seconds) for name, seconds in (config.training_seconds or {}).items()}
        self._differences = self._against(config.reference)
        # in a list, since names of rows are no names of modules
        self.metrics = nn.ModuleList(
            [*self._means, *self._gaps.values(), *self._break_evens.values(), *self._differences.values()]
        )

    def _against(self, reference: str | None) -> dict[str, ImageMean]:
        """Means of differences to the reference, by row, over the columns that both have."""
        if reference is None:
            return {}
        rows = {study.name: study.columns for study in self.studies if study.section == "native"}
        if reference not in rows:
            raise InputError(
                f"the reference {reference!r} is no row of the section methods: use one of {', '.join(rows)}"
            )
        shared = {name: [c for c in columns if c in rows[reference]] for name, columns in rows.items()}
        return {name: ImageMean(columns) for name, columns in shared.items() if name != reference}

    def update(self, measurements: Mapping[tuple[str, str], Measurements], seeds: Sequence[int]) -> None:
        """Add what studies, by section and row, measured of a batch of images; `seeds` tell the images apart."""
        for study, mean in zip(self.studies, self._means, strict=True):
            if (study.section, study.name) in measurements:
                mean.update(measurements[study.section, study.name].values, seeds)
        reference = measurements.get(("native", self.config.reference or ""))
        for name, difference in self._differences.items():
            row = measurements.get(("native", name))
            if reference is not None and row is not None:
                values = [row[column] - reference[column] for column in difference.columns]
                difference.update(torch.stack(values, 1), seeds)
        teacher = measurements.get(("effort", TEACHER))
        for name, gap in self._gaps.items():
            row = measurements.get(("effort", name))
            if teacher is not None and row is not None:
                gap.update(row.starting_with(OBJECTIVE), teacher.starting_with(OBJECTIVE), seeds)
        for name, break_even in self._break_evens.items():
            exact, amortized = (measurements.get(("native", self._first_row(row))) for row in ("cartoonx", name))
            if exact is not None and amortized is not None:
                break_even.update(exact["seconds"], amortized["seconds"], seeds)

    def _first_row(self, method: str) -> str:
        """The row of a method; where it has one for each lambda_k, the first of them."""
        return row_name(method, self.config.lambda_k[0], self.config.lambda_k)

    def compute(self) -> dict[str, Table]:
        """Section -> row -> column -> interval; ``differences`` to the reference are a section of their own."""
        tables: dict[str, Table] = {}
        for study, mean in zip(self.studies, self._means, strict=True):
            tables.setdefault(study.section, {})[study.name] = mean.compute()
        if self._differences:
            tables["differences"] = {name: difference.compute() for name, difference in self._differences.items()}
        return tables

    def gaps(self) -> Table:
        """Row of the section ``effort`` -> ``gap`` and ``median_ratio``."""
        return {name: gap.compute() for name, gap in self._gaps.items()}

    def leaders(self, without: Collection[tuple[str, str]] = ()) -> list[Leader]:
        """The best rows of the methods, and of each budget of passes; `without` some, by section and name."""
        variants = (self.config.variants or {}).values()
        one_objective = len(self.config.lambda_k) == 1 and not any("lambda_k" in changes for changes in variants)
        columns: dict[str, dict[str, Compared]] = {}
        for study, mean in zip(self.studies, self._means, strict=True):
            if study.section == "native" and ("native", study.name) not in without:
                intervals = mean.compute()
                for column, replicates in mean.replicates().items():
                    if one_objective or column != "best_objective":  # which is lower where lambda_k is
                        columns.setdefault(column, {})[study.name] = Compared(intervals[column], *replicates)
        for name, gap in self._gaps.items():
            if "@" in name and ("effort", name) not in without:
                compared = Compared(gap.compute()["gap"], *gap.replicates()["gap"])
                columns.setdefault(f"gap@{name.rpartition('@')[2]}", {})[name] = compared
        shown = (*HEADINGS["native"].at(self.config.rates).columns, *(column for column in columns if "gap@" in column))
        return list(leaders(columns, shown))

    def break_evens(self) -> dict[str, Interval]:
        """Trained explainer -> images after which its training has paid for itself."""
        return {name: break_even.compute()["images"] for name, break_even in self._break_evens.items()}
