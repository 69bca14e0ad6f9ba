"""What makes certificates doubtful: where their model breaks, they say nothing of the mask."""

import torch
from torch import Tensor

from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.encoded_batch import EncodedBatch, class_probability
from amortex.rate_distortion.pipeline import RateDistortion

EMPTY_SAMPLES = 8  # draws that measure the empty mask, where a mask has hardly any distortion
NEGLIGIBLE = 1e-2  # share of the largest distortion: below it, the class's probability moves by a tenth (label_l2)
IMPROBABLE = 1e-3  # probability of a class that the input hardly shows
WEAK = 1e-2  # probability of a predicted class: losing it is a distortion of its square, which looks negligible
SATURATED = 1 - 1e-6  # probability that is 1 to rounding
FULL_RATE = 0.9999  # masks above this rate drop nothing

NO_NUMBER = "the classifier's output is not a number: nothing is measured"
FULL = "the mask is full: it drops nothing, and shows nothing"
EMPTY = "the mask is empty: it keeps nothing, and shows nothing"
SATURATION = "the class has probability 1 even where everything is replaced: its outputs are saturated"
INDEPENDENT = (
    "the output is nearly the same under the empty mask: under this obfuscation it depends little on the input"
)


def caveats(rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, distortion: Tensor, seed: int) -> tuple[str, ...]:
    """What makes the certificates of masks ``(B, k)`` with these mean distortions ``(B,)`` doubtful, in words."""
    p = class_probability(encoded)
    holds = _empty_mask_holds(rd, encoded, distortion, seed)
    full, empty = encoded.rate(mask) > FULL_RATE, ~mask.any(1) & ~holds
    texts = []
    for index, probability in enumerate(p.tolist()):
        found = list(rd.classifier.caveats)
        if not bool(p[index].isfinite() & distortion[index].isfinite()):
            found.append(NO_NUMBER)
        if holds[index]:
            found.append(SATURATION if probability > SATURATED else INDEPENDENT)
        if full[index] or empty[index]:
            found.append(FULL if full[index] else EMPTY)
        if probability < (WEAK if bool(encoded.predicted[index]) and rd.distortion == "label_l2" else IMPROBABLE):
            found.append(f"the input hardly shows this class: its probability is {probability:.1g}")
        texts.append("; ".join(found))
    return tuple(texts)


def _empty_mask_holds(rd: RateDistortion, encoded: EncodedBatch, distortion: Tensor, seed: int) -> Tensor:
    """Whether the distortion ``(B,)`` of a mask is negligible, and that of the empty mask is, too."""
    largest = torch.ones_like(distortion)
    if rd.distortion == "label_l2":  # that of a class of which nothing is left
        largest = torch.where(encoded.predicted, class_probability(encoded).square(), 1.0)
    holds = distortion < NEGLIGIBLE * largest
    indices = holds.nonzero()[:, 0]
    if len(indices):
        part = encoded.of(indices)
        empty = torch.zeros(len(indices), encoded.layout.k, dtype=distortion.dtype, device=distortion.device)
        outcome = rd(part, empty, NoiseStreams.evaluation(part.image, seed), EMPTY_SAMPLES)
        holds[indices] = outcome.distortion.mean(1) < NEGLIGIBLE * largest[indices]
    return holds
