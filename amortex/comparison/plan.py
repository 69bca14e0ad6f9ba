"""From settings to methods and studies: what a comparison measures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import nan
from typing import Any, TypeVar

from amortex.amortized.predictor import MaskPredictor
from amortex.classifiers.classifier import Classifier
from amortex.comparison.config import VARIANT_OF, ComparisonConfig, row_name
from amortex.comparison.effort import effort_studies
from amortex.comparison.grid import grid_studies
from amortex.comparison.methods import Method, Shown
from amortex.comparison.mixture_studies import mixture_study
from amortex.comparison.mixtures import MIXTURES
from amortex.comparison.scale_profiles import profile_study
from amortex.comparison.studies import (
    MetricSuite,
    leakage_study,
    mapped_study,
    native_study,
    sanity_study,
    scale_study,
)
from amortex.comparison.study import Study
from amortex.comparison.trained import trained_methods
from amortex.core.errors import InputError
from amortex.explainers import METHODS, build_explainer
from amortex.explainers.rde import RDE
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.problem import Problem

Built = TypeVar("Built")

SECTION_LAMBDA_K = 5.0  # of the sections but methods and effort: their methods have one row each


class Plan:
    """The methods and studies that a comparison's settings ask for.

    Arguments:
        config: settings of the comparison.
        problem: what is explained, and how masks are measured.
        classifier: to explain.
        predictors: trained explainers by name.
        classifiers: of the section ``robustness``, by name.

    Attributes:
        methods: rows of the section ``methods``.
        grid_methods: rows of the section ``grid``.
        mixture_methods: rows of the sections ``noise`` and ``overlap``, by section.
        mistake_methods: those of the section ``mistakes``.
        studies: the rows of all sections.
        unavailable: section and row -> why there is no such method for this classifier and its signals.
        shown: row -> how reports show it.
    """

    def __init__(
        self,
        config: ComparisonConfig,
        problem: Problem,
        classifier: Classifier,
        predictors: dict[str, MaskPredictor],
        classifiers: dict[str, Classifier],
    ) -> None:
        self.config, self.problem, self.classifier, self.predictors = config, problem, classifier, predictors
        self.classifiers = classifiers
        self.unavailable: dict[tuple[str, str], str] = {}
        self.shown: dict[str, Shown] = {}
        self.wavelets = self.rate_distortion("wavelet")  # an error here is of the problem, not of a method
        self.methods: list[Method] = []
        self.grid_methods: list[Method] = []
        self.mixture_methods: dict[str, list[Method]] = {}
        self.mistake_methods: list[Method] = []
        self.studies = list(self._studies())
        self.shown |= {method.name: method.shown for method in self.mistake_methods}
        self.shown |= {study.name: study.shown for study in self.studies if study.shown is not None}

    def _studies(self) -> Iterator[Study]:
        config, protocol, sections = self.config, self.config.protocol, self.config.sections
        if "methods" in sections:
            steps = [0, *config.finetune_steps]
            self.methods = [*self._section_methods("native", config.methods, config.lambda_k, steps), *self._variants()]
            transforms = {method.transform.name for method in self.methods} | {"wavelet"}
            suites = {name: MetricSuite(self.rate_distortion(name), protocol) for name in sorted(transforms)}
            # with several lambda_k, rankings have an objective for none of them
            lambda_k = config.lambda_k[0] if len(config.lambda_k) == 1 else nan
            for method in self.methods:
                yield native_study(method, suites[method.transform.name], lambda_k)
            for method in self.methods:
                if method.on_pixels and suites["wavelet"].curves(lambda_k):
                    yield mapped_study(method, suites["wavelet"], lambda_k)
        if "leakage" in sections:
            # the predictor guesses rates for predicted classes only: those for others have to be measured
            for method in self._section_methods("leakage", config.leakage_methods, select_rate=True):
                yield leakage_study(method, protocol)
        if "sanity" in sections:
            for method in self._section_methods("sanity", config.sanity_methods):
                yield sanity_study(method)
        if "scales" in sections:
            yield scale_study(self.wavelets, protocol)
        if "robustness" in sections:
            for name in config.robustness_methods:
                yield from self._robustness_studies(name)
        if "effort" in sections:
            yield from effort_studies(
                self.wavelets,
                self.predictors,
                config.samples,
                config.effort_lambda_k,
                config.effort_budgets,
                config.seed,
            )
        if "grid" in sections:
            for study, method in grid_studies(self._grid_method, self.problem.obfuscation, protocol):
                self.grid_methods.append(method)
                yield study
        if "mistakes" in sections:
            self.mistake_methods = self._section_methods("mistakes", config.mistake_methods)
        for section in MIXTURES:
            if section in sections:
                self.mixture_methods[section] = self._section_methods(section, config.mixture_methods)
                for method in self.mixture_methods[section]:
                    yield mixture_study(section, method, protocol)

    def rate_distortion(self, transform: str, classifier: Classifier | None = None, **changes: Any) -> RateDistortion:
        """The pipeline over a transform, with another classifier and other fields of the problem, too."""
        return replace(self.problem, transform=transform, **changes).build(classifier or self.classifier)

    def _available(self, section: str, row: str, shown: Shown, build: Callable[[], Built]) -> Built | None:
        """What is built, or None: the report says why it is not defined for this classifier or its signals."""
        self.shown[row] = shown
        try:
            return build()
        except InputError as error:
            self.unavailable[section, row] = str(error)
            return None

    def _untrained(
        self, section: str, name: str, all_lambda_k: Sequence[float], classifier: Classifier | None = None, of: str = ""
    ) -> Iterator[Method]:
        """An exact, classical or trivial method; with a sparsity weight, once for each.

        It is `of` another classifier, if one is given.
        """
        label = METHODS[name].label or name
        for lambda_k in all_lambda_k if "lambda_k" in METHODS[name].options else (None,):
            if lambda_k is None:
                method = self._exact(section, name, name + of, label + of, classifier)
            else:
                row, shown = row_name(name, lambda_k, all_lambda_k), row_name(label, lambda_k, all_lambda_k, "λk")
                method = self._exact(section, name, row + of, shown + of, classifier, lambda_k=lambda_k)
            if method is not None:
                yield method

    def _robustness_studies(self, name: str) -> Iterator[Study]:
        """A method on each classifier, compared with the first."""
        methods = [
            method
            for label, classifier in self.classifiers.items()
            for method in self._untrained("robustness", name, (SECTION_LAMBDA_K,), classifier, f", {label}")
        ]
        for method in methods:
            build = partial(profile_study, method, methods[0])
            study = self._available("robustness", method.name, method.shown, build)
            if study is not None:
                yield study

    def _variants(self) -> Iterator[Method]:
        """Methods with settings of their own, by their labels."""
        for label, settings in (self.config.variants or {}).items():
            given = {key: value for key, value in settings.items() if key != VARIANT_OF}
            method = self._exact("native", settings[VARIANT_OF], label, label, **given)
            if method is not None:
                yield method

    def _exact(
        self, section: str, name: str, row: str, label: str, classifier: Classifier | None = None, **given: Any
    ) -> Method | None:
        """A method of the catalogue with the given settings; RDE methods take the comparison's preset and lambda_k."""
        entry = METHODS[name]
        defaults: dict[str, Any] = {"lambda_k": self.config.lambda_k[0], "preset": self.config.preset}
        options = {key: value for key, value in defaults.items() if key in entry.options} | given

        def build() -> Method:
            rd = self.rate_distortion(entry.transform, classifier)
            explainer = build_explainer(name, rd, seed=self.config.seed, **options)
            return Method(row, explainer, entry.kind, options.get("lambda_k"), label)

        return self._available(section, row, Shown(label, entry.kind), build)

    def _section_methods(
        self,
        section: str,
        names: Sequence[str],
        all_lambda_k: Sequence[float] = (SECTION_LAMBDA_K,),
        finetune_steps: Sequence[int] = (0,),
        select_rate: bool = False,
    ) -> list[Method]:
        """Methods of a section, and the trained explainers."""
        methods = [method for name in names for method in self._untrained(section, name, all_lambda_k)]
        seed = self.config.seed
        return [*methods, *trained_methods(self.predictors, all_lambda_k, finetune_steps, select_rate, seed)]

    def _grid_method(self, name: str, lambda_k: float = SECTION_LAMBDA_K, **changes: Any) -> Method | None:
        def build() -> Method:
            rd = self.rate_distortion("wavelet", **changes)
            explainer = RDE(rd, lambda_k, self.config.preset, seed=self.config.seed)
            return Method(name, explainer, "exact", lambda_k, label)

        label = name.replace("lambda_k", "λk")
        return self._available("grid", name, Shown(label), build)
