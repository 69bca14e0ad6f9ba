"""Quality against compute: the objective of masks after so many classifier passes, from several starts."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from amortex.comparison.bench import Batch, Method
from amortex.comparison.studies import Protocol, Study
from amortex.draws import Draws
from amortex.explainers import RDE, Amortized, Explainer, Preset
from amortex.explainers.base import Explanation, OnStep
from amortex.explainers.initial import Initial
from amortex.metrics import OperatingPoint
from amortex.predictors import MaskPredictor
from amortex.rate_distortion import RateDistortion
from amortex.reference import Reference

STEPS = (0, 5, 10, 20, 50)  # of refinement, two draws each
LAMBDAS = (1.0, 2.5, 5.0, 10.0)
LR = 2e-2
TEACHER, EMPTY = "CartoonX, converged", "empty mask"


class Constant(Explainer):
    """Masks of one value everywhere."""

    def __init__(self, rate_distortion: RateDistortion, value: float) -> None:
        super().__init__(rate_distortion)
        self.value = value

    def _explain(self, reference: Reference, draws: Draws, on_step: OnStep) -> Explanation:
        mask = reference.image.new_full((len(reference.image), reference.layout.k), self.value)
        return Explanation(reference, mask, mask)

    def settings(self) -> dict[str, str | int | float]:
        return {**super().settings(), "value": self.value}


def runners(rd: RateDistortion, predictors: dict[str, MaskPredictor], value: float, seed: int) -> Iterator[Method]:
    """Every start with every number of steps at one lambda_k, and what they are compared with."""
    yield Method(TEACHER, RDE(rd, value, "converged", seed=seed), "exact", value)
    yield Method(EMPTY, Constant(rd, 0.0), "trivial", value)
    starts: tuple[Initial, ...] = ("ones", "startgrad", "sensitivity")
    for steps in STEPS:
        preset = Preset("refine", max(1, steps), samples=2, lr=LR, schedule="cosine")
        for start in starts if steps else ():
            yield Method(f"from {start}@{steps}", RDE(rd, value, preset, start, seed), "exact", value)
        for name, predictor in predictors.items():
            explainer = Amortized(predictor, value, refine=steps, seed=seed)
            yield Method(f"{name}@{steps}", explainer, "amortized", value)
    yield Method("from ones@0", Constant(rd, 1.0), "exact", value)


def effort(
    rd: RateDistortion, predictors: dict[str, MaskPredictor], protocol: Protocol, seed: int = 0
) -> Iterator[Study]:
    """A study per start and number of steps: J at each lambda_k, and the passes that it took."""
    by_name: dict[str, list[Method]] = {}
    for value in LAMBDAS:
        for method in runners(rd, predictors, value, seed):
            by_name.setdefault(method.name, []).append(method)
    for name, methods in by_name.items():

        def measure(batch: Batch, methods: Sequence[Method] = methods) -> Tensor:
            columns = []
            for method in methods:
                point = OperatingPoint(rd, method.lambda_k or 0.0, protocol.samples)
                made = batch.explain(method)
                columns.append(point.measure(made.explanation)[:, point.columns.index("objective")])
            return torch.stack([*columns, made.passes], 1).double()

        columns = (*(f"J@{value:g}" for value in LAMBDAS), "passes")
        settings = {"study": "effort", "samples": protocol.samples, "methods": [m.settings for m in methods]}
        yield Study("effort", name, columns, measure, settings)
