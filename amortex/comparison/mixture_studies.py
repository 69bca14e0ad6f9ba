"""The sections ``noise`` and ``overlap``: what explanations of mixtures keep of the target."""

import torch
from torch import Tensor

from amortex.comparison.config import Protocol
from amortex.comparison.explained_batch import ExplainedBatch, MixedBatch
from amortex.comparison.methods import Method
from amortex.comparison.studies import columns_of, medians_of
from amortex.comparison.study import Study
from amortex.metrics import InsertionDeletion, MaskedIn, Separation, functional
from amortex.rate_distortion.encoded_batch import class_probability

MOVED, PROBABILITY = "rank_correlation", "probability"


def mixture_study(section: str, method: Method, protocol: Protocol) -> Study:
    """A method on mixtures, asked for the class of the clean signals.

    Columns: those of `InsertionDeletion` and of `MaskedIn` for the explanation of the mixture; those of `Separation`
    where the transform is linear, and no front end lies between the signals that are mixed and what is explained;
    ``rank_correlation`` of its relevance with that of the clean signal, within levels; and ``probability``, that of the
    class on the mixture.
    """
    rd, for_target = method.explainer.rate_distortion, method.for_target()
    separable = rd.transform.linear and rd.classifier.data_config is rd.classifier.signal_config
    separation = Separation(rd) if separable else None
    metrics = [InsertionDeletion(rd, protocol.insertion_steps), MaskedIn(rd), MaskedIn(rd, share=None)]
    columns = (*(separation.columns if separation else ()), *columns_of(metrics), MOVED, PROBABILITY)

    def mixed(batch: ExplainedBatch) -> MixedBatch:
        return batch.mixed(section)

    def evaluate(batch: ExplainedBatch) -> Tensor:
        assert isinstance(batch, MixedBatch)
        clean = batch.clean.explain(method).explanation
        explanation = batch.explain(for_target, clean.encoded.target).explanation
        with batch.stopwatch.section(f"measuring: {method.shown.label}"):
            level, live = clean.encoded.layout.level, _live_in_both(clean.encoded.live, explanation.encoded.live)
            moved = functional.spearman_within_levels(clean.relevance, explanation.relevance, level, live).nanmean(1)
            values = [separation.evaluate(explanation, batch.target)] if separation else []
            values += [metric.evaluate(explanation) for metric in metrics]
            values += [moved[:, None], class_probability(explanation.encoded)[:, None]]
            return torch.cat([value.double() for value in values], 1)

    settings = {"study": section, "insertion_steps": protocol.insertion_steps, **method.settings,
                "mixed": for_target.settings}  # fmt: skip
    return Study(section, method.name, columns, evaluate, settings, medians_of(metrics), mixed, method.shown)


def _live_in_both(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Which entries are live both in a signal and in its mixture; None where neither tells, so all are."""
    if a is None or b is None:
        return b if a is None else a
    return a & b
