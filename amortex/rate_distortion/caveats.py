"""What makes certificates doubtful: where their model breaks, they say nothing of the mask."""

import torch
from torch import Tensor

from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.encoded_batch import EncodedBatch, Outcome, class_probability
from amortex.rate_distortion.pipeline import RateDistortion

EMPTY_SAMPLES = 8  # draws that measure the empty mask, where a mask keeps little or has hardly any distortion
NEGLIGIBLE = 1e-2  # share of the largest distortion: below it, the class's probability moves by a tenth (label_l2)
IMPROBABLE = 1e-3  # probability of a class that the input hardly shows
WEAK = 1e-2  # probability of a predicted class: losing it is a distortion of its square, which looks negligible
SATURATED = 1 - 1e-6  # probability that is 1 to rounding
FULL_RATE = 0.9999  # masks above this rate drop nothing
LOW_RATE = 1e-2  # masks below this rate are compared with the empty one
HARDLY_BETTER = 0.8  # share of the empty mask's distortion that a mask which shows something stays below

NO_NUMBER = "the classifier's output is not a number: nothing is measured"
FULL = "the mask is full: it drops nothing, and shows nothing"
EMPTY = "the mask is empty: it keeps nothing, and shows nothing"
SATURATION = "the class has probability 1 even where everything is replaced: its outputs are saturated"
NO_BETTER = "the empty mask is about as good (distortion {:.2g}): this one shows hardly anything of the class"
WORSE = f"the empty mask is better (distortion {{:.2g}} in {EMPTY_SAMPLES} draws)"
INDEPENDENT = (
    "the output is nearly the same under the empty mask: under this obfuscation it depends little on the input"
)


def caveats(rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, outcome: Outcome, seed: int) -> tuple[str, ...]:
    """What makes the certificates of masks ``(B, k)`` with such outcomes doubtful, in words."""
    distortion = outcome.distortion.mean(1)
    retained = rd.classifier.decides(outcome.probabilities, encoded.target, encoded.highest)
    p, rate = class_probability(encoded), encoded.rate(mask)
    predicted = encoded.predicted & (rd.distortion == "label_l2")
    negligible = NEGLIGIBLE * torch.where(predicted, p.square(), 1.0)  # of a class of which nothing is left
    doubted = (rate < LOW_RATE) | (encoded.predicted & ~retained)  # may be no better than the empty mask
    compared = (distortion < negligible) | doubted
    nothing = _empty_mask(rd, encoded, compared, seed)
    holds = (distortion < negligible) & (nothing < negligible)
    full, empty = rate > FULL_RATE, ~mask.any(1) & ~holds
    no_better = doubted & (distortion > HARDLY_BETTER * nothing) & ~holds & ~empty & ~full
    texts = []
    for index, probability in enumerate(p.tolist()):
        found = list(rd.classifier.caveats)
        if not bool(p[index].isfinite() & distortion[index].isfinite()):
            found.append(NO_NUMBER)
        if holds[index]:
            found.append(SATURATION if probability > SATURATED else INDEPENDENT)
        if no_better[index]:
            text = NO_BETTER if nothing[index] > HARDLY_BETTER * distortion[index] else WORSE
            found.append(text.format(nothing[index].item()))
        if full[index] or empty[index]:
            found.append(FULL if full[index] else EMPTY)
        if probability < (WEAK if bool(encoded.predicted[index]) and rd.distortion == "label_l2" else IMPROBABLE):
            found.append(f"the input hardly shows this class: its probability is {probability:.1g}")
        texts.append("; ".join(found))
    return tuple(texts)


def _empty_mask(rd: RateDistortion, encoded: EncodedBatch, compared: Tensor, seed: int) -> Tensor:
    """The distortion ``(B,)`` of the empty mask of those that are `compared` ``(B,)``; infinite for the others."""
    distortion = encoded.probabilities.new_full(compared.shape, torch.inf)
    indices = compared.nonzero()[:, 0]
    if len(indices):
        part = encoded.of(indices)
        empty = distortion.new_zeros(len(indices), encoded.layout.k)
        outcome = rd(part, empty, NoiseStreams.evaluation(part.image, seed), EMPTY_SAMPLES)
        distortion[indices] = outcome.distortion.mean(1)
    return distortion
