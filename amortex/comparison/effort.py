"""Quality against compute: the objective of masks after so many classifier passes, from several starts."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.comparison.explained_batch import ExplainedBatch
from amortex.comparison.methods import Method
from amortex.comparison.study import Study
from amortex.core.masks import energy, top_share
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import Explainer, Explanation, OnStep
from amortex.explainers.initial import sensitivity
from amortex.explainers.presets import Initial, Preset, finetuning
from amortex.explainers.rde import RDE
from amortex.metrics import OperatingPoint
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion

TEACHER, EMPTY, FULL = "CartoonX, converged", "empty mask", "from ones@1"  # names of rows
ORDERING = "from the sensitivity ordering"
STARTS: dict[Initial, int] = {"ones": 0, "startgrad": 3, "sensitivity": 12}  # and the classifier passes they take
START_LABELS: dict[Initial, str] = {"ones": "ones", "startgrad": "StartGrad", "sensitivity": "sensitivity"}
OBJECTIVE = "J@"  # columns: J at a lambda_k
DRAWS = 2  # noise draws of a CartoonX step


def expected_passes(start: Initial | MaskPredictor, steps: int = 0, draws: int = DRAWS) -> int:
    """Classifier passes per image of a start and so many steps of so many draws that continue from it.

    It plans budgets; what a method really takes is counted. CartoonX's pass that finds the class is not included.
    """
    first = start.passes if isinstance(start, MaskPredictor) else STARTS[start]
    return first + 3 * draws * steps


def affordable_steps(budget: int, start: Initial | MaskPredictor, draws: int = DRAWS) -> int:
    """Steps from a start that a budget of classifier passes pays for; negative where it is too low for the start.

    >>> affordable_steps(34, "startgrad")
    5
    """
    first = expected_passes(start, 0, draws)
    return (budget - first) // (expected_passes(start, 1, draws) - first)


def from_afar(steps: int) -> Preset:
    """CartoonX in a few steps from a mask that is far from the optimum.

    The learning rate is the best of 0.05, 0.1, 0.3 and 0.6 with 10 and 42 steps from ones, on four other photographs.
    """
    return Preset("effort", steps, DRAWS, lr=0.3, schedule="cosine", betas=(0.9, 0.99))


class ConstantMask(Explainer):
    """Masks of one value everywhere.

    Arguments:
        rate_distortion: its transform says how many entries they have.
        value: of all entries.
    """

    def __init__(self, rate_distortion: RateDistortion, value: float) -> None:
        super().__init__(rate_distortion)
        self.value = value

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        mask = encoded.only_live(encoded.image.new_full((len(encoded.image), encoded.layout.k), self.value))
        return Explanation(encoded, mask, mask)

    def settings(self) -> dict[str, str | int | float]:
        return {**super().settings(), "value": self.value}


class FromOrdering(RDE):
    """CartoonX from the best ordering that needs no training, cut at about the rate that is best for lambda_k.

    That rate is ``0.2 / lambda_k`` (see the table of trivial answers in the documentation of results).
    """

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        relevance = sensitivity(self.rate_distortion, encoded, streams)
        mask = top_share(relevance, min(0.2 / self.lambda_k, 1.0), energy(encoded.coefficients), encoded.live)
        cartoonx = RDE(self.rate_distortion, self.lambda_k, self.preset, mask)
        return cartoonx._explain(encoded, streams, on_step)

    def settings(self) -> dict[str, str | int | float]:
        return {**super().settings(), "init": "ordering"}


def effort_methods(
    rd: RateDistortion, predictors: dict[str, MaskPredictor], lambda_k: float, budgets: Sequence[int], seed: int
) -> Iterator[Method]:
    """Every start with every budget that it can use, at one lambda_k, and what they are compared with."""
    yield Method(TEACHER, RDE(rd, lambda_k, "converged", seed=seed), "exact", lambda_k)
    yield Method(EMPTY, ConstantMask(rd, 0.0), "trivial", lambda_k, "Empty mask")
    yield Method(FULL, ConstantMask(rd, 1.0), "exact", lambda_k, "CartoonX from ones@1")
    for budget in budgets:
        for start in STARTS:
            steps = affordable_steps(budget, start)
            if steps > 0:
                explainer: Explainer = RDE(rd, lambda_k, from_afar(steps), start, seed)
                label = f"CartoonX from {START_LABELS[start]}@{budget}"
                yield Method(f"from {start}@{budget}", explainer, "exact", lambda_k, label)
        steps = affordable_steps(budget, "sensitivity")
        if steps > 0:
            explainer = FromOrdering(rd, lambda_k, finetuning(steps), seed=seed)
            yield Method(f"{ORDERING}@{budget}", explainer, "exact", lambda_k, f"CartoonX {ORDERING}@{budget}")
        for name, predictor in predictors.items():
            steps = affordable_steps(budget, predictor)
            if steps < 0:
                continue
            title = trained_label(name)
            finetuned = Amortized(predictor, lambda_k, learned_steps=0, finetune_steps=steps, seed=seed)
            yield Method(f"{name}@{budget}", finetuned, "amortized", lambda_k, f"{title}, CartoonX steps@{budget}")
            if predictor.decoder.refiner is not None:
                steps = affordable_steps(budget, predictor, draws=1)
                refined = Amortized(predictor, lambda_k, learned_steps=steps, seed=seed)
                row, label = (f"{text}, learned steps@{budget}" for text in (name, title))
                yield Method(row, refined, "amortized", lambda_k, label)
                planned = Amortized(predictor, lambda_k, passes=budget, seed=seed)
                row, label = (f"{text}, planned passes@{budget}" for text in (name, title))
                yield Method(row, planned, "amortized", lambda_k, label)


def trained_label(name: str) -> str:
    """What people read for a trained explainer of that name: it begins with a capital, as the names of methods do."""
    return name[:1].upper() + name[1:]


def effort_studies(
    rd: RateDistortion,
    predictors: dict[str, MaskPredictor],
    samples: int,
    all_lambda_k: Sequence[float],
    budgets: Sequence[int],
    seed: int = 0,
) -> Iterator[Study]:
    """A study per start and budget of classifier passes: J at each lambda_k, and the passes that it took."""
    rows: dict[str, list[Method]] = {}
    for lambda_k in all_lambda_k:
        for method in effort_methods(rd, predictors, lambda_k, budgets, seed):
            rows.setdefault(method.name, []).append(method)
    columns = (*(f"{OBJECTIVE}{lambda_k:g}" for lambda_k in all_lambda_k), "passes")
    for name, methods in rows.items():

        def evaluate(batch: ExplainedBatch, methods: Sequence[Method] = methods) -> Tensor:
            objectives = []
            for method in methods:
                timed = batch.explain(method)
                point = OperatingPoint(rd, method.lambda_k or 0.0, samples)
                objectives.append(point.evaluate(timed.explanation)[:, point.columns.index("objective")])
            return torch.stack([*objectives, timed.passes], 1).double()

        settings = {"study": "effort", "samples": samples, "methods": [method.settings for method in methods]}
        yield Study("effort", name, columns, evaluate, settings, shown=methods[0].shown)
