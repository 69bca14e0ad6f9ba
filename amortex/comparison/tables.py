"""Means (and medians) over all images: the tables of a comparison, and the ratios that take two rows of them."""

from collections.abc import Mapping, Sequence

from torch import nn

from amortex.comparison.config import ComparisonConfig, row_name
from amortex.comparison.effort import OBJECTIVE, TEACHER
from amortex.comparison.study import Measurements, Study
from amortex.metrics import AmortizationGap, BreakEven, ImageMean, Interval

Table = dict[str, dict[str, Interval]]  # row -> column -> interval


class ComparisonTables(nn.Module):
    """Means and medians of studies over images; the states are summed across devices.

    Arguments:
        config: settings of the comparison.
        studies: rows of the tables.
    """

    def __init__(self, config: ComparisonConfig, studies: Sequence[Study]) -> None:
        super().__init__()
        self.config, self.studies = config, list(studies)
        self._means = [ImageMean(study.columns, study.medians) for study in studies]
        starts = [study.name for study in studies if study.section == "effort" and study.name != TEACHER]
        self._gaps = {name: AmortizationGap() for name in starts}
        self._break_evens = {name: BreakEven(seconds) for name, seconds in (config.training_seconds or {}).items()}
        # in a list, since names of rows are no names of modules
        self.metrics = nn.ModuleList([*self._means, *self._gaps.values(), *self._break_evens.values()])

    def update(self, measurements: Mapping[tuple[str, str], Measurements], seeds: Sequence[int]) -> None:
        """Add what studies, by section and row, measured of a batch of images; `seeds` tell the images apart."""
        for study, mean in zip(self.studies, self._means, strict=True):
            if (study.section, study.name) in measurements:
                mean.update(measurements[study.section, study.name].values, seeds)
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
        """Section -> row -> column -> interval."""
        tables: dict[str, Table] = {}
        for study, mean in zip(self.studies, self._means, strict=True):
            tables.setdefault(study.section, {})[study.name] = mean.compute()
        return tables

    def gaps(self) -> Table:
        """Row of the section ``effort`` -> ``gap`` and ``median_ratio``."""
        return {name: gap.compute() for name, gap in self._gaps.items()}

    def break_evens(self) -> dict[str, Interval]:
        """Trained explainer -> images after which its training has paid for itself."""
        return {name: break_even.compute()["images"] for name, break_even in self._break_evens.items()}
