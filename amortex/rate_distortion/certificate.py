"""Certificates: what a mask achieves on noise that no explainer has seen, and what makes one doubtful."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from scipy.special import betaincinv
from torch import Tensor

from amortex.classifiers.classifier import LABEL_THRESHOLD, Classifier
from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion, class_probability

CONFIDENCE = 0.95  # of all intervals
EMPTY_SAMPLES = 8  # draws that measure the empty mask, where a mask has hardly any distortion
LOW_DISTORTION = 1e-3  # a mask below has kept all, or its classifier does not need what was dropped
IMPROBABLE = 1e-3  # probability of a requested class that the image hardly shows
SATURATED = 1 - 1e-6  # probability that is 1 to rounding


class Certificate(NamedTuple):
    """One value per input, ``(B,)`` each."""

    probability: Tensor  # of the explained class on the clean input
    predicted: Tensor  # whether the classifier decides for that class on the clean input
    rate: Tensor
    distortion: Tensor  # mean over the draws
    ci_low: Tensor  # 95 % confidence interval of that mean
    ci_high: Tensor
    retained: Tensor  # whether the mean output under noise decides for the explained class
    retention: Tensor  # share of single draws that do
    retention_low: Tensor  # 95 % Clopper-Pearson interval of the probability that a draw does
    retention_high: Tensor
    empty_distortion: Tensor  # of the empty mask, where the mask's is below 0.001; else NaN

    def row(self, index: int) -> dict[str, Any]:
        """The values of one input, as plain values."""
        return {name: values[index].item() for name, values in self._asdict().items()}

    def __repr__(self) -> str:
        rows = map(self.row, range(len(self.rate)))
        return "\n".join(f"rate {row['rate']:.2%}, distortion {measured(row)}" for row in rows)


def certify(
    rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, samples: int = 64, seed: int = EVALUATION_SEED
) -> Certificate:
    """Measure masks ``(B, k)`` on `samples` noise draws of a stream that no explainer sees.

    The interval of the distortion is Student's t over the draws, cut at zero. If the obfuscation is not random, all
    draws are one, and the ends of the intervals are the values themselves. A single random draw has no interval of the
    distortion: both ends are NaN.

    References:
        A mask with a retention of at least delta is a delta-relevant set (Waeldchen et al., JAIR 2021).
    """
    outcome = rd(encoded, mask, NoiseStreams.evaluation(encoded.image, seed), samples)
    mean, retention = outcome.distortion.mean(1), outcome.kept.float().mean(1)
    low, high, lower, upper = mean, mean, retention, retention
    if encoded.scale is not None:
        low, high = outcome.interval()
        lower, upper = clopper_pearson(outcome.kept.sum(1), samples)
    retained = rd.classifier.decides(outcome.probabilities, encoded.target)
    return Certificate(
        class_probability(encoded), encoded.predicted, outcome.rate, mean, low, high, retained, retention, lower, upper,
        _empty_distortion(rd, encoded, mean, seed),
    )  # fmt: skip


def _empty_distortion(rd: RateDistortion, encoded: EncodedBatch, distortion: Tensor, seed: int) -> Tensor:
    """Distortion ``(B,)`` of the empty mask, where that of the mask is low; else NaN."""
    measured, indices = torch.full_like(distortion, torch.nan), (distortion < LOW_DISTORTION).nonzero()[:, 0]
    if len(indices):
        part = encoded.of(indices)
        empty = torch.zeros(len(indices), encoded.layout.k, dtype=distortion.dtype, device=distortion.device)
        outcome = rd(part, empty, NoiseStreams.evaluation(part.image, seed), EMPTY_SAMPLES)
        measured[indices] = outcome.distortion.mean(1)
    return measured


def clopper_pearson(successes: Tensor, draws: int, confidence: float = CONFIDENCE) -> tuple[Tensor, Tensor]:
    """The exact two-sided interval of a probability, from successes ``(B,)`` in so many independent draws.

    It covers the probability at least as often as `confidence` says.

    References:
        Clopper and Pearson, Biometrika 26, 1934.

    >>> [round(end.item(), 4) for end in clopper_pearson(torch.tensor([64]), 64)]
    [0.944, 1.0]
    """
    tail, count = (1 - confidence) / 2, successes.double().cpu().numpy()
    # at the ends the quantile is that of a degenerate distribution: 0 and 1
    low = betaincinv(count.clip(1), draws - count + 1, tail) * (count > 0)
    high = 1 - betaincinv((draws - count).clip(1), count + 1, tail) * (count < draws)
    low, high = (torch.from_numpy(end).to(successes.device, torch.float32) for end in (low, high))
    return low, high


def measured(row: Mapping[str, Any]) -> str:
    """Distortion, class and retention of one input in words, from the values of its certificate."""
    word = "retained" if row["predicted"] else "reached"
    return (
        f"{row['distortion']:.4f} [{row['ci_low']:.4f}, {row['ci_high']:.4f}], "
        f"class {'' if row['retained'] else 'not '}{word}, in {row['retention']:.1%} of draws "
        f"[{row['retention_low']:.1%}, {row['retention_high']:.1%}]"
    )


def caveats(row: Mapping[str, Any], classifier: Classifier) -> list[str]:
    """What makes the certificate of one input doubtful, in words, from its values."""
    found = list(classifier.caveats)
    if math.isnan(row["probability"]) or math.isnan(row["distortion"]):
        found.append("the classifier's output is not a number: nothing is measured")
    if row["empty_distortion"] < LOW_DISTORTION:  # NaN is not
        if row["probability"] > SATURATED:
            found.append("the class has probability 1 even where everything is replaced: its outputs are saturated")
        else:
            found.append("the empty mask keeps the output, too: it does not depend on the input under this obfuscation")
    if classifier.multi_label and row["predicted"] and row["probability"] < LABEL_THRESHOLD:
        found.append(f"no label reaches a probability of one half: the highest is {row['probability']:.2g}")
    if not row["predicted"] and row["probability"] < IMPROBABLE:
        found.append(f"the image hardly shows this class: its probability is {row['probability']:.1g}")
    return found
