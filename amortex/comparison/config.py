"""What a comparison measures, as plain values. Nothing here imports torch."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from amortex.core.catalog import check_name
from amortex.core.errors import InputError
from amortex.core.rates import CURVE_RATES, LOWEST_LOG_RATE, is_axis
from amortex.explainers import METHODS
from amortex.explainers.presets import PRESETS, Initial

METRICS = ("distortion", "noise_out", "insertion", "mu_fidelity", "masked_in", "conciseness")
SECTIONS = ("methods", "leakage", "sanity", "scales", "robustness", "effort", "grid", "noise", "overlap",
            "mistakes")  # fmt: skip
# fields of a `Problem` in which classifiers may differ
CLASSIFIER_FIELDS = ("classifier", "weights", "num_classes", "class_names", "model_args", "mean", "std", "activation")
VARIANT_OF = "method"  # the key of a variant that names its method
# values of its options that are names, or whole numbers; all others are numbers
NAMED_VALUES: dict[str, tuple[str, ...]] = {"preset": tuple(PRESETS), "init": get_args(Initial)}
WHOLE_VALUES = ("steps", "samples")
# plots show the first eight together
DEFAULT_METHODS = ("cartoonx", "pixel_rde", "wam_sg", "wam_ig", "minimal", "integrated_gradients", "gradcam",
                   "random_wavelets", "magnitude", "sensitivity", "random_pixels", "saliency", "smoothgrad",
                   "guided_backprop", "guided_gradcam", "gradcam_pp", "lrp", "lime")  # fmt: skip


@dataclass(frozen=True)
class Protocol:
    """How everything is measured.

    Arguments:
        samples: noise draws per mask.
        rates: shares of the entries at which orders are measured.
        insertion_steps: intervals of insertion and deletion.
        subsets: random subsets of mu-fidelity.
        metrics: kinds of metrics of the section ``methods``.
    """

    samples: int = 64
    rates: tuple[float, ...] = CURVE_RATES
    insertion_steps: int = 64
    subsets: int = 128
    metrics: tuple[str, ...] = METRICS


@dataclass(frozen=True)
class ComparisonConfig:
    """The settings of a `Comparison`.

    Arguments:
        sections: what to measure: ``methods`` (tables and curves), ``leakage``, ``sanity``, ``scales``,
            ``robustness`` (scales of several classifiers), ``effort`` (quality against compute), ``grid`` (CartoonX's
            settings), ``noise`` and ``overlap`` (what explanations keep of signals in white noise, and of two signals
            at once).
        methods: exact, classical and trivial methods, by the names that `explain.py` knows.
        variants: further rows of the section ``methods``: label -> ``{method: NAME, OPTION: VALUE, ...}``, a method
            with options that `explain.py` has for it.
        explainers: trained explainers, checkpoints or release folders, by the name of their row.
        finetune_steps: numbers of CartoonX steps that continue from trained explainers; a row for each, beside the row
            without.
        training_seconds: what training each explainer took, by its name, for the break-even.
        leakage_methods: methods of the section ``leakage``.
        sanity_methods: methods of the section ``sanity``.
        classifiers: of the section ``robustness``, by name: what differs from the problem's classifier, in fields of a
            `Problem`. Each is compared with the first.
        robustness_methods: methods of the section ``robustness``.
        mixture_methods: methods of the sections ``noise`` and ``overlap``.
        lambda_k: sparsity weights of RDE methods and trained explainers; a row for each.
        effort_lambda_k: sparsity weights of the section ``effort``.
        effort_budgets: classifier passes per image of the section ``effort``.
        mistake_methods: methods of the section ``mistakes``, which explains misclassified signals of folders that are
            named after classes: the predicted class beside the true one.
        mistakes: how many misclassified signals are explained, on each device.
        preset: how RDE methods optimise.
        samples: noise draws per mask.
        rates: shares of the entries at which the orders of the section ``methods`` are measured, rising within 0 to 1.
        insertion_steps: intervals of insertion and deletion.
        subsets: random subsets of mu-fidelity.
        metrics: what the section ``methods`` measures: ``distortion`` (under noise, of the most relevant shares and of
            masks as they are), ``noise_out`` (noise replaces the most relevant shares), ``insertion`` (and deletion),
            ``mu_fidelity``, ``masked_in`` (what is kept alone), ``conciseness`` (CP, and of images hallucination).
        reference: a row of the section ``methods``: the report has the difference of all others to it, image by image.
        gallery: how many images are shown.
        out: folder of the report.
        cache: folder that keeps explanations and measurements by content, so that a rerun costs nothing; null for none.
        seed: of the explainers.

    Raises:
        InputError: unknown names, or values out of range.

    >>> ComparisonConfig(methods=("cartoonx", "gradcam"), samples=16, rates=(0.1, 1.0), metrics=("insertion",)).protocol
    Protocol(samples=16, rates=(0.1, 1.0), insertion_steps=64, subsets=128, metrics=('insertion',))
    """

    sections: tuple[str, ...] = ("methods", "leakage", "sanity", "scales")
    methods: tuple[str, ...] = DEFAULT_METHODS
    variants: dict[str, dict[str, Any]] | None = None
    explainers: dict[str, str] | None = None
    finetune_steps: tuple[int, ...] = (20,)
    training_seconds: dict[str, float] | None = None
    leakage_methods: tuple[str, ...] = ("cartoonx", "wam_sg", "gradcam")
    sanity_methods: tuple[str, ...] = ("wam_sg", "wam_ig")
    classifiers: dict[str, dict[str, Any]] | None = None
    robustness_methods: tuple[str, ...] = ("wam_sg",)
    mixture_methods: tuple[str, ...] = ("wam_sg", "wam_ig", "cartoonx", "random_wavelets")
    lambda_k: tuple[float, ...] = (5.0,)
    effort_lambda_k: tuple[float, ...] = (1.0, 2.5, 5.0, 10.0)
    effort_budgets: tuple[int, ...] = (4, 16, 34, 64, 124, 256)
    mistake_methods: tuple[str, ...] = ("cartoonx",)
    mistakes: int = 8
    preset: str = "converged"
    samples: int = 64
    rates: tuple[float, ...] = CURVE_RATES
    insertion_steps: int = 64
    subsets: int = 128
    metrics: tuple[str, ...] = METRICS
    reference: str | None = None
    gallery: int = 4
    out: str = "report"
    cache: str | None = "report/cache"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.lambda_k or not self.metrics:
            raise InputError(f"give at least one of {'metrics' if self.lambda_k else 'lambda_k'}")
        for name in ("samples", "insertion_steps", "subsets"):
            if getattr(self, name) < 2:
                raise InputError(f"{name} must be at least 2, not {getattr(self, name)}")
        if not all(0 <= value < math.inf for value in self.lambda_k):
            raise InputError(f"lambda_k must be numbers of at least 0, not {self.lambda_k}")
        if min(self.effort_lambda_k, default=0.0) <= 0 or min(self.effort_budgets, default=0) < 1:
            raise InputError("effort_lambda_k must be above 0, and effort_budgets at least 1")
        if not is_axis(self.rates):
            raise InputError(
                f"rates must rise from 0 to 1, with two or more of at least {LOWEST_LOG_RATE}, since areas under their "
                f"curves are measured: not {list(self.rates)}"
            )
        check_name("preset", self.preset, PRESETS)
        for section in self.sections:
            check_name("section", section, SECTIONS)
        for metric in self.metrics:
            check_name("metric", metric, METRICS)
        listed = (
            self.methods,
            self.leakage_methods,
            self.sanity_methods,
            self.robustness_methods,
            self.mixture_methods,
            self.mistake_methods,
        )
        for method in (name for names in listed for name in names):
            check_name("method", method, METHODS)
        for field in (field for fields in (self.classifiers or {}).values() for field in fields):
            check_name("setting of a classifier", field, CLASSIFIER_FIELDS)
        if "robustness" in self.sections and len(self.classifiers or {}) < 2:
            raise InputError("the section robustness needs two classifiers or more: give model.classifiers")
        for label, variant in (self.variants or {}).items():
            check_variant(label, variant)
        for name in self.training_seconds or {}:
            if name not in (self.explainers or {}) or "cartoonx" not in self.methods or "methods" not in self.sections:
                raise InputError(
                    f"the break-even of {name!r} needs an explainer of that name, cartoonx among the methods, and the "
                    "section methods"
                )

    @property
    def protocol(self) -> Protocol:
        """How everything is measured."""
        return Protocol(self.samples, tuple(self.rates), self.insertion_steps, self.subsets, tuple(self.metrics))

    def settings(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)


def check_variant(label: str, variant: dict[str, Any]) -> None:
    """Raises InputError unless a variant names a method, and options that it takes, with values of their kinds."""
    if VARIANT_OF not in variant:
        raise InputError(f"the variant {label!r} names no method: give {{{VARIANT_OF}: NAME, OPTION: VALUE, ...}}")
    options = METHODS[check_name("method", variant[VARIANT_OF], METHODS)].options
    for name, value in variant.items():
        if name == VARIANT_OF:
            continue
        check_name(f"option of {variant[VARIANT_OF]} in the variant {label!r}", name, options)
        if name in NAMED_VALUES:
            check_name(f"{name} in the variant {label!r}", value, NAMED_VALUES[name])
        elif isinstance(value, bool) or not isinstance(value, int if name in WHOLE_VALUES else int | float):
            raise InputError(
                f"{name} in the variant {label!r} must be a {'whole ' * (name in WHOLE_VALUES)}number, not {value!r}"
            )


def row_name(method: str, lambda_k: float, all_lambda_k: Sequence[float], symbol: str = "lambda_k") -> str:
    """The name of a method's row; with its lambda_k, where there are several. In labels its `symbol` is λk."""
    return method if len(all_lambda_k) == 1 else f"{method}, {symbol} = {lambda_k:g}"
