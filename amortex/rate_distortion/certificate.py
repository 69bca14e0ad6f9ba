"""Certificates: what a mask achieves on noise that no explainer has seen, and what makes one doubtful."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams
from amortex.rate_distortion.caveats import caveats
from amortex.rate_distortion.chunking import Pause, idle
from amortex.rate_distortion.encoded_batch import EncodedBatch, Outcome, class_probability
from amortex.rate_distortion.intervals import clopper_pearson
from amortex.rate_distortion.pipeline import RateDistortion


class Certificate(NamedTuple):
    """What was measured of masks, ``(B,)`` each."""

    probability: Tensor  # of the explained class on the clean input
    predicted: Tensor  # whether the classifier decides for that class on the clean input
    rate: Tensor
    distortion: Tensor  # mean over the draws
    ci_low: Tensor  # 95 % confidence interval of that mean
    ci_high: Tensor
    retained: Tensor  # whether the mean output under noise decides for the explained class
    retention: Tensor  # share of single draws that do; NaN where an output is not a number
    retention_low: Tensor  # 95 % Clopper-Pearson interval of the probability that a draw does
    retention_high: Tensor
    draws: Tensor  # how many of them there were
    caveats: tuple[str, ...]  # what makes it doubtful, one text per input; empty where nothing does

    def of(self, inputs: Tensor) -> "Certificate":
        """The same of some of the inputs, by their indices."""
        parts = {name: values[inputs] for name, values in self._asdict().items() if name != "caveats"}
        return self._replace(**parts, caveats=tuple(self.caveats[index] for index in inputs.tolist()))

    def row(self, index: int) -> dict[str, Any]:
        """The values of one input, as plain values."""
        values = {name: column[index] for name, column in self._asdict().items()}
        return {name: value.item() if isinstance(value, Tensor) else value for name, value in values.items()}

    def __repr__(self) -> str:
        rows = map(self.row, range(len(self.rate)))
        return "\n".join(f"rate {row['rate']:.2%}, distortion {measured(row)}{caution(row)}" for row in rows)


def certify(
    rd: RateDistortion,
    encoded: EncodedBatch,
    mask: Tensor,
    samples: int = 64,
    seed: int = EVALUATION_SEED,
    pause: Pause = idle,
) -> Certificate:
    """Measure masks ``(B, k)`` on `samples` noise draws of a stream that no explainer sees.

    The interval of the distortion is Student's t over the draws, cut at zero. If the obfuscation is not random, all
    draws are one, and the ends of the intervals are the values themselves. A single random draw has no interval of the
    distortion: both ends are NaN. `pause` is called after each chunk of draws, and may raise.

    References:
        A mask with a retention of at least delta is a delta-relevant set (Waeldchen et al., JAIR 2021).
    """
    outcome = rd(encoded, mask, NoiseStreams.evaluation(encoded.image, seed), samples, pause)
    return summarise(rd, encoded, outcome, caveats(rd, encoded, mask, outcome, seed))


def summarise(rd: RateDistortion, encoded: EncodedBatch, outcome: Outcome, doubts: tuple[str, ...]) -> Certificate:
    """The certificate of what was measured of masks; `doubts` are its caveats, one text per input."""
    mean, retention = outcome.distortion.mean(1), outcome.kept.float().mean(1)
    low, high, lower, upper = mean, mean, retention, retention
    if encoded.scale is not None:
        low, high = outcome.interval()
        lower, upper = clopper_pearson(outcome.kept.sum(1), outcome.kept.shape[1])
    finite = outcome.distortion.isfinite().all(1)
    retention, lower, upper = (share.where(finite, torch.nan) for share in (retention, lower, upper))
    retained = rd.classifier.decides(outcome.probabilities, encoded.target, encoded.highest)
    draws = torch.full_like(encoded.target, outcome.distortion.shape[1])
    return Certificate(
        class_probability(encoded), encoded.predicted, outcome.rate, mean, low, high, retained, retention, lower, upper,
        draws, doubts,
    )  # fmt: skip


def measured(row: Mapping[str, Any]) -> str:
    """Distortion, class and retention of one input in words, from the values of its certificate."""
    word = ("" if row["retained"] else "not ") + ("retained" if row["predicted"] else "reached")
    draws = "of draws" if row["draws"] == 1 else f"of {row['draws']} draws"
    return (
        f"{row['distortion']:.4f} [{row['ci_low']:.4f}, {row['ci_high']:.4f}], class {word} in the mean, "
        f"and in {row['retention']:.1%} {draws} [{row['retention_low']:.1%}, {row['retention_high']:.1%}]"
    )


def caution(row: Mapping[str, Any]) -> str:
    """The caveats of one input as the end of a line, if there are any."""
    return f"; caution: {row['caveats']}" if row.get("caveats") else ""
