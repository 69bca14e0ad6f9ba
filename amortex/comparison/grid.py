"""The section ``grid``: CartoonX's settings, each varied alone."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor

from amortex.comparison.config import Protocol
from amortex.comparison.explained_batch import ExplainedBatch
from amortex.comparison.methods import Method
from amortex.comparison.study import Study
from amortex.metrics import OperatingPoint

GRID: dict[str, Iterable[Any]] = {
    "lambda_k": (1.0, 2.5, 5.0, 10.0, 20.0),
    "obfuscation": ("gaussian", "uniform", "zero", "constant", "blur"),
    "wavelet": ("haar", "db3", "db8", "sym4", "bior2.2"),
    "distortion": ("label_l2", "label_max", "l2", "kl"),
}


def grid_studies(
    method_of: Callable[..., Method | None], obfuscation: str | None, protocol: Protocol
) -> Iterator[tuple[Study, Method]]:
    """A study per setting of CartoonX (Fig. 8): each entry of `GRID` is varied alone, `obfuscation` is the problem's.

    `method_of` gives None for a setting that the classifier or its signals do not have.
    """
    own = {"obfuscation": dict.fromkeys([*GRID["obfuscation"], obfuscation])}
    for setting, values in (GRID | own).items():
        for value in values:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            method = method_of(name=f"{setting} = {text}", **{setting: value})
            if method is None:
                continue
            metric = OperatingPoint(method.explainer.rate_distortion, method.lambda_k or 0.0, protocol.samples)

            def evaluate(batch: ExplainedBatch, method: Method = method, metric: OperatingPoint = metric) -> Tensor:
                return metric.evaluate(batch.explain(method).explanation).double()

            settings = {"study": "grid", "samples": protocol.samples, **method.settings}
            yield Study("grid", method.name, metric.columns, evaluate, settings, shown=method.shown), method
