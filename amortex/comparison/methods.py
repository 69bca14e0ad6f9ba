"""The methods that are compared."""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from amortex.explainers.base import Explainer
from amortex.explaining.provenance import provenance
from amortex.transforms.base import Transform
from amortex.transforms.pixel import Pixel


class Shown(NamedTuple):
    """How reports show a row of a table.

    Arguments:
        label: what people read.
        kind: ``exact``, ``amortized``, ``classical`` or ``trivial``: how plots draw it.
    """

    label: str
    kind: str = "exact"


@dataclass(frozen=True)
class Method:
    """A row of the tables.

    Arguments:
        name: of the row.
        explainer: what explains.
        kind: ``exact``, ``amortized``, ``classical`` or ``trivial``: how plots draw it.
        lambda_k: its sparsity weight, where it has one.
        label: what people read instead of the name; none shows the name.
    """

    name: str
    explainer: Explainer
    kind: str
    lambda_k: float | None = None
    label: str = ""

    @property
    def shown(self) -> Shown:
        return Shown(self.label or self.name, self.kind)

    @property
    def file_name(self) -> str:
        """Its name in those of files."""
        return re.sub(r"[^\w.=-]+", "_", self.name)

    @property
    def transform(self) -> Transform:
        return self.explainer.rate_distortion.transform

    @property
    def on_pixels(self) -> bool:
        """Whether its masks are over pixels instead of coefficients."""
        return isinstance(self.transform, Pixel)

    def for_target(self) -> "Method":
        """The method for classes that need not be the predicted ones."""
        return replace(self, explainer=self.explainer.for_target())

    @cached_property
    def settings(self) -> dict[str, object]:
        """Everything that determines its explanations."""
        return {
            "explainer": type(self.explainer).__name__,
            **{f"explainer_{key}": value for key, value in self.explainer.settings().items()},
            **provenance(self.explainer.rate_distortion),
        }
