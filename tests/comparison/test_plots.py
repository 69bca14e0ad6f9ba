"""Plots for print: at most eight curves, labels instead of identifiers, one style per row in all figures."""

from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from amortex.comparison.methods import Shown
from amortex.comparison.plots import all_plots, caption, is_further
from amortex.comparison.styles import MOST_CURVES, row_styles
from amortex.explainers import METHODS
from amortex.explaining.figures import pdf, png
from amortex.metrics import Interval

SHOWN = {
    **{name: Shown(entry.label, entry.kind) for name, entry in METHODS.items()},
    "mine": Shown("Mine (4 passes)", "amortized"),
}
RATES = ("0.01", "0.1", "1")


def value(mean: float) -> Interval:
    return Interval(mean, 0.9 * mean, 1.1 * mean, 8)


def native_row(number: int) -> dict[str, Interval]:
    curves = {
        f"{prefix}@{rate}": value(0.1 + number / 100) for prefix in ("l2", "out_l2", "inserted") for rate in RATES
    }
    scales = {f"scale_{level}": value(0.2) for level in range(3)}
    return {**curves, **scales, "rate": value(0.01 * (1 + number)), "distortion": value(0.1)}


def effort_row(objective: float, passes: float) -> dict[str, Interval]:
    return {"J@1": value(objective), "J@5": value(2 * objective), "passes": value(passes)}


@pytest.fixture(scope="module")
def tables():
    native = {name: native_row(number) for number, name in enumerate(SHOWN)}
    effort = {"empty mask": effort_row(0.9, 1)}
    effort |= {
        f"{start}@{budget}": effort_row(8 / budget, budget) for start in ("mine", "from ones") for budget in (4, 64)
    }
    mapped = {name: native[name] for name, entry in METHODS.items() if entry.transform == "pixel"}
    return {"native": native, "mapped": mapped, "effort": effort,
            "scales": {"without": {f"scale_{level}": value(0.3) for level in range(3)}}}  # fmt: skip


def lines_of(figure):
    return {line.get_label(): line for line in figure.axes[0].get_lines() if not line.get_label().startswith("_")}


def test_every_method_has_a_label_of_its_own():
    labels = [entry.label for entry in METHODS.values()]
    assert all(labels)
    assert len(set(labels)) == len(labels)


def test_figures_hold_eight_curves_and_the_others_are_in_further_ones(tables):
    figures = all_plots(tables, SHOWN, ["low", "1", "2"])
    drawn = {name: lines_of(figure) for name, figure in figures.items() if name.startswith("rate_distortion")}
    assert all(len(lines) <= MOST_CURVES for lines in drawn.values())
    labels = [label for lines in drawn.values() for label in lines]
    assert sorted(labels) == sorted(shown.label for shown in SHOWN.values())  # each once
    assert labels[:2] == ["Mine (4 passes)", "CartoonX"]
    assert not is_further("rate_distortion")
    assert is_further("rate_distortion_2")
    assert caption("rate_distortion_2") == f"{caption('rate_distortion')}: further rows"


def test_a_row_looks_the_same_in_all_figures_and_like_no_other(tables):
    figures = all_plots(tables, SHOWN, ["low", "1", "2"])
    looks = {}
    for name, figure in figures.items():
        if name.startswith(("rate_distortion", "noise_out", "pareto", "mapped", "scales")):
            for label, line in lines_of(figure).items():
                looks.setdefault(label, set()).add((line.get_color(), line.get_linestyle(), line.get_marker()))
    assert all(len(look) == 1 for look in looks.values())
    assert len(set.union(*looks.values())) == len(looks)
    colours = [style["color"] for style in row_styles(SHOWN).values()]
    assert len(set(colours[:MOST_CURVES])) == MOST_CURVES


def test_effort_has_a_line_per_start_and_the_empty_mask_across(tables):
    lines = lines_of(all_plots(tables, SHOWN, ["low", "1", "2"])["effort"])
    assert list(lines) == ["mine", "from ones", "empty mask"]
    assert list(lines["mine"].get_xdata()) == [4, 64]
    assert lines["mine"].get_ydata() == pytest.approx([3, 3 / 16])  # the mean over lambda_k
    assert lines["empty mask"].get_ydata()[0] == pytest.approx(1.35)


def test_the_same_figure_gives_the_same_files_for_print(tables):
    figure = all_plots(tables, SHOWN, ["low", "1", "2"])["operating_points"]
    assert pdf(figure) == pdf(figure)
    assert pdf(figure).startswith(b"%PDF")
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("most_passes", [256, 12000])
def test_labels_of_budgets_do_not_overlap(most_passes, tables):
    effort = tables["effort"] | {"CartoonX, converged": effort_row(0.1, most_passes)}
    (figure,) = (figure for name, figure in all_plots({"effort": effort}, SHOWN, []).items() if name == "effort")
    FigureCanvasAgg(figure).draw()
    (axis,) = figure.axes
    low, high = axis.get_xlim()
    labels = zip(axis.get_xticks(), axis.get_xticklabels(), strict=True)
    boxes = [label.get_window_extent() for tick, label in labels if low <= tick <= high]
    assert len(boxes) > 2
    assert not any(left.overlaps(right) for left, right in pairwise(boxes))
