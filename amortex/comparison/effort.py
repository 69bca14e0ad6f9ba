"""Quality against compute: the objective of masks after so many classifier passes, from several starts."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from amortex.amortized.explainer import Amortized, finetuning
from amortex.amortized.predictor import MaskPredictor
from amortex.comparison.bench import Batch, Method
from amortex.comparison.studies import Protocol, Study
from amortex.core.masks import energy, top_share
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import Explainer, Explanation, OnStep
from amortex.explainers.initial import sensitivity
from amortex.explainers.presets import Initial, Preset
from amortex.explainers.rde import RDE
from amortex.metrics import OperatingPoint
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion

TEACHER, EMPTY, ORDERING = "CartoonX, converged", "empty mask", "from the sensitivity ordering"
PASSES = {"ones": 0, "startgrad": 3, "sensitivity": 12}  # that a start takes: a forward is 1, forward and backward 3
STEP = 6  # passes of a CartoonX step of two draws
FAR = 0.3  # learning rate: of 0.05, 0.1, 0.3 and 0.6 the best with 10 and 42 steps from ones, on four other photographs


def course(steps: int) -> Preset:
    """CartoonX in a number of steps from far away."""
    return Preset("effort", steps, samples=2, lr=FAR, schedule="cosine", betas=(0.9, 0.99))


class Constant(Explainer):
    """Masks of one value everywhere."""

    def __init__(self, rate_distortion: RateDistortion, value: float) -> None:
        super().__init__(rate_distortion)
        self.value = value

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        mask = encoded.image.new_full((len(encoded.image), encoded.layout.k), self.value)
        return Explanation(encoded, mask, mask)

    def settings(self) -> dict[str, str | int | float]:
        return {**super().settings(), "value": self.value}


class FromOrdering(RDE):
    """CartoonX from the best ordering that needs no training, cut at about the rate that is best for lambda_k.

    That is ``0.2 / lambda_k`` (see the README's table of trivial answers).
    """

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        rd = self.rate_distortion
        order = sensitivity(rd, encoded, streams)
        mask = top_share(order, min(0.2 / self.lambda_k, 1.0), energy(encoded.coefficients))
        return RDE(rd, self.lambda_k, self.preset, mask)._explain(encoded, streams, on_step)

    def settings(self) -> dict[str, str | int | float]:
        return {**super().settings(), "init": "ordering"}


def runners(
    rd: RateDistortion, predictors: dict[str, MaskPredictor], value: float, budgets: Sequence[int], seed: int
) -> Iterator[Method]:
    """Every start with every budget that it can use, at one lambda_k, and what they are compared with."""
    yield Method(TEACHER, RDE(rd, value, "converged", seed=seed), "exact", value)
    yield Method(EMPTY, Constant(rd, 0.0), "trivial", value)
    yield Method("from ones@1", Constant(rd, 1.0), "exact", value)
    starts: tuple[Initial, ...] = ("ones", "startgrad", "sensitivity")
    for budget in budgets:
        for start in starts:
            steps = (budget - PASSES[start]) // STEP
            if steps > 0:
                yield Method(f"from {start}@{budget}", RDE(rd, value, course(steps), start, seed), "exact", value)
        steps = (budget - PASSES["sensitivity"]) // STEP
        if steps > 0:
            yield Method(f"{ORDERING}@{budget}", FromOrdering(rd, value, finetuning(steps), seed=seed), "exact", value)
        for name, predictor in predictors.items():
            left = budget - predictor.passes
            if left < 0:
                continue
            plain = Amortized(predictor, value, learned_steps=0, finetune_steps=left // STEP, seed=seed)
            yield Method(f"{name}@{budget}", plain, "amortized", value)
            if predictor.decoder.refiner is not None:
                learned = Amortized(predictor, value, learned_steps=left // 3, seed=seed)
                yield Method(f"{name}, learned steps@{budget}", learned, "amortized", value)


def effort(
    rd: RateDistortion,
    predictors: dict[str, MaskPredictor],
    protocol: Protocol,
    lambdas: Sequence[float],
    budgets: Sequence[int],
    seed: int = 0,
) -> Iterator[Study]:
    """A study per start and budget of classifier passes: J at each lambda_k, and the passes that it took."""
    by_name: dict[str, list[Method]] = {}
    for value in lambdas:
        for method in runners(rd, predictors, value, budgets, seed):
            by_name.setdefault(method.name, []).append(method)
    for name, methods in by_name.items():

        def evaluate(batch: Batch, methods: Sequence[Method] = methods) -> Tensor:
            columns = []
            for method in methods:
                point = OperatingPoint(rd, method.lambda_k or 0.0, protocol.samples)
                made = batch.explain(method)
                columns.append(point.evaluate(made.explanation)[:, point.columns.index("objective")])
            return torch.stack([*columns, made.passes], 1).double()

        columns = (*(f"J@{value:g}" for value in lambdas), "passes")
        settings = {"study": "effort", "samples": protocol.samples, "methods": [m.settings for m in methods]}
        yield Study("effort", name, columns, evaluate, settings)
