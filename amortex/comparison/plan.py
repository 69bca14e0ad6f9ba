"""From settings to methods and studies: what a comparison measures."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import nan
from typing import Any

from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.classifiers.classifier import Classifier
from amortex.comparison.bench import Method
from amortex.comparison.effort import effort
from amortex.comparison.studies import MetricSuite, Protocol, Study, leakage, mapped, native, sanity, scales, variants
from amortex.core.errors import InputError
from amortex.explainers import METHODS, build_explainer
from amortex.explainers.rde import RDE
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.problem import Problem
from amortex.transforms import TRANSFORMS

SECTIONS = ("methods", "leakage", "sanity", "scales", "effort", "grid")
ALL = ("cartoonx", "pixel_rde", "wam_sg", "wam_ig", "minimal", "saliency", "smoothgrad", "integrated_gradients",
       "guided_backprop", "lrp", "gradcam", "gradcam_pp", "guided_gradcam", "lime", "random_pixels", "random_wavelets",
       "magnitude", "sensitivity")  # fmt: skip
LEAKAGE_LAMBDA_K = 5.0
GRID: dict[str, Sequence[Any]] = {
    "lambda_k": (1.0, 2.5, 5.0, 10.0, 20.0),
    "obfuscation": ("gaussian", "uniform", "zero", "constant", "blur"),
    "wavelet": ("haar", "db3", "db8", "sym4", "bior2.2"),
    "distortion": ("label_l2", "label_max", "l2", "kl"),
}


class Plan:
    """The methods and studies that settings ask for.

    Arguments:
        h: settings of a `Comparison`.
        problem: its problem.
        classifier: to explain.
        predictors: trained explainers by name.

    Raises:
        InputError: unknown names.
    """

    def __init__(self, h: Any, problem: Problem, classifier: Classifier, predictors: dict[str, MaskPredictor]) -> None:
        for kind, names, known in (
            ("section", h.sections, SECTIONS),
            ("method", [*h.methods, *h.leaking, *h.checked], METHODS),
        ):
            for name in names:
                if name not in known:
                    raise InputError(f"unknown {kind} {name!r}: use {', '.join(known)}")
        self.h, self.problem, self.classifier, self.predictors = h, problem, classifier, predictors
        self.protocol = Protocol(h.samples, h.insertion_steps, h.subsets)
        self.methods = [m for name in h.methods for m in self._exact(name, h.lambda_k)]
        self.methods += self._trained(h.lambda_k, [0, *h.refine], learned=True)
        self.varied: list[Method] = []
        self.studies = list(self._studies())

    def _studies(self) -> Iterator[Study]:
        h, wavelets = self.h, self.rate_distortion("wavelet")
        suites = {name: MetricSuite(self.rate_distortion(name), self.protocol) for name in TRANSFORMS}
        if "methods" in h.sections:
            for method in self.methods:
                # with several lambda_k, rankings have an objective for none of them
                yield native(method, suites[method.transform.name], h.lambda_k[0] if len(h.lambda_k) == 1 else nan)
            for method in self.methods:
                if method.on_pixels:
                    yield mapped(method, suites["wavelet"])
        if "leakage" in h.sections:
            for method in self._some(h.leaking, select_rate=True, learned=True):
                yield leakage(method, self.protocol)
        if "sanity" in h.sections:
            for method in self._some(h.checked, learned=True):
                yield sanity(method)
        if "scales" in h.sections:
            yield scales(wavelets, self.protocol)
        if "effort" in h.sections:
            yield from effort(wavelets, self.predictors, self.protocol, h.effort_lambda_k, h.budgets, h.seed)
        if "grid" in h.sections:
            for study, method in variants(self._variant, GRID, self.protocol):
                self.varied.append(method)
                yield study

    def first(self, name: str) -> str:
        """The row of a method, or, where it has one for each lambda_k, the first of them."""
        return label_of(name, self.h.lambda_k[0], self.h.lambda_k)

    def rate_distortion(self, transform: str, **changes: Any) -> RateDistortion:
        return replace(self.problem, transform=transform, **changes).build(self.classifier)

    def _exact(self, name: str, lambdas: Sequence[float]) -> Iterator[Method]:
        h, entry = self.h, METHODS[name]
        rd = self.rate_distortion(entry.transform)
        if "lambda_k" not in entry.options:
            yield Method(name, build_explainer(name, rd, seed=h.seed), entry.kind)
            return
        for value in lambdas:
            explainer = build_explainer(name, rd, lambda_k=value, preset=h.preset, seed=h.seed)
            yield Method(label_of(name, value, lambdas), explainer, entry.kind, value)

    def _trained(
        self, lambdas: Sequence[float], steps: Sequence[int], select_rate: bool = False, learned: bool = False
    ) -> Iterator[Method]:
        """One pass, with CartoonX steps, and, if `learned` ones are asked for and there, with learned steps."""
        for name, predictor in self.predictors.items():
            for value in lambdas:
                for count in steps:
                    explainer = Amortized(
                        predictor,
                        value,
                        select_rate=select_rate,
                        learned_steps=0,
                        finetune_steps=count,
                        seed=self.h.seed,
                    )
                    row = name + (f" + {count} steps" if count else "")
                    yield Method(label_of(row, value, lambdas), explainer, "amortized", value)
                if learned and predictor.decoder.refiner is not None:
                    explainer = Amortized(predictor, value, seed=self.h.seed)
                    row = f"{name} + {explainer.learned_steps} learned steps"
                    yield Method(label_of(row, value, lambdas), explainer, "amortized", value)

    def _some(self, names: Sequence[str], select_rate: bool = False, learned: bool = False) -> Iterator[Method]:
        """Methods for a section of its own, at one lambda_k."""
        for name in names:
            yield from self._exact(name, [LEAKAGE_LAMBDA_K])
        # the predictor guesses rates for predicted classes only: others have to be measured
        yield from self._trained([LEAKAGE_LAMBDA_K], [0], select_rate, learned)

    def _variant(self, name: str, lambda_k: float = 5.0, **changes: Any) -> Method:
        explainer = RDE(self.rate_distortion("wavelet", **changes), lambda_k, self.h.preset, seed=self.h.seed)
        return Method(name, explainer, "exact", lambda_k)


def label_of(name: str, value: float, lambdas: Sequence[float]) -> str:
    """With its lambda_k, where there are several."""
    return name if len(lambdas) == 1 else f"{name}, lambda_k = {value:g}"
