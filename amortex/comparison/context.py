"""What a report knows of what was compared."""

from collections.abc import Mapping
from dataclasses import dataclass

from amortex.classifiers.classifier import Classifier
from amortex.comparison.config import ComparisonConfig
from amortex.comparison.methods import Shown
from amortex.core.modalities import Modality, modality_of
from amortex.core.scales import level_labels
from amortex.io.sounds import sample_rate
from amortex.rate_distortion.problem import Problem


@dataclass(frozen=True)
class Context:
    """What was compared, and how.

    Arguments:
        problem: what was explained.
        config: settings of the comparison.
        shown: row -> how the report shows it; by its name where it is not there.
        classifier: that was explained.
    """

    problem: Problem
    config: ComparisonConfig
    shown: Mapping[str, Shown]
    classifier: Classifier

    @property
    def modality(self) -> Modality:
        """The kind of signals that masks are of: of sounds in the mel domain, pictures."""
        return modality_of(len(self.classifier.data_config["input_size"]) - 1)

    @property
    def noun(self) -> str:
        """What a signal is called as it is read."""
        return modality_of(len(self.classifier.signal_config["input_size"]) - 1).noun

    @property
    def scales(self) -> list[str]:
        """What the scales are called: the low-pass, then level 1 (finest) to the coarsest."""
        rate = sample_rate(self.classifier.data_config) if self.modality.dims == 1 else None
        return level_labels(self.problem.levels or 0, self.modality.unit, rate)
