"""The figures of an explanation, image by image. Pure functions; `amortex.metrics` makes torchmetrics of them.

Most measure hard masks, "the top share of the entries": entries are ranked by relevance, equal ones by coefficient
energy (optimised masks have many exact zeros and ones). Noise comes from per-image streams that no explainer has seen,
and is the same for every method and every rate.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from skimage.feature import canny
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.masks import energy, order
from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams, uniform
from amortex.explainers.base import Explanation
from amortex.rate_distortion.distortions import l2, of_class
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion, class_probability
from amortex.rate_distortion.scores import reduced_logits

RATES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
LOWEST = 0.005  # where the area on the logarithmic axis begins
CANNY = {"sigma": 1.0, "low_threshold": 0.1, "high_threshold": 0.2}  # of grey images in [0, 1]; scikit-image's defaults


def places(explanation: Explanation) -> Tensor:
    """The place of each entry in the order, from 0, ``(B, k)``: ``place < n`` keeps the n most relevant."""
    return order(explanation.relevance, energy(explanation.encoded.coefficients)).argsort(-1)


def rate_distortion_curve(
    rd: RateDistortion,
    explanation: Explanation,
    rates: Sequence[float] = RATES,
    samples: int = 64,
    noise_out: bool = False,
    seed: int = EVALUATION_SEED,
) -> dict[str, Tensor]:
    """Distortion when the top ``round(r k)`` entries are kept and noise replaces the rest (CartoonX, Fig. 7a).

    With `noise_out` the top entries are the ones that noise replaces (Fig. 7b). Returns ``l2`` and
    ``label_l2`` (``label_max`` for a class that is not predicted), ``(B, R)`` means over the draws, and ``retained``
    ``(B, R)``: whether the class of the mean output is the explained one, NaN where outputs are not finite.
    """
    encoded, place = explanation.encoded, places(explanation)
    masks = []
    for rate in rates:
        top = place < round(rate * encoded.layout.k)
        masks.append((~top if noise_out else top).to(encoded.image.dtype))
    streams = NoiseStreams.evaluation(encoded.image, seed)
    outputs = rd.probabilities(encoded, masks, streams, samples)  # (R, B, L, M)
    distance = [l2(encoded.probabilities, one, encoded.target).mean(1) for one in outputs]
    label = [rd.distortions(encoded, one, "label_l2").mean(1) for one in outputs]
    retained = kept(outputs.mean(2), encoded.target).T.to(label[0].dtype)
    return {"l2": torch.stack(distance, 1), "label_l2": torch.stack(label, 1), "retained": retained}


def kept(probabilities: Tensor, target: Tensor) -> Tensor:
    """Whether the class of largest probability ``(..., B, M)`` is `target` ``(B,)``: 1, 0, or NaN where one is none."""
    same = (probabilities.argmax(-1) == target).to(probabilities)
    return same.where(probabilities.isfinite().all(-1), torch.nan)


def area(rates: Sequence[float], values: Tensor, logarithmic: bool = False) -> Tensor:
    """Mean height ``(B,)`` of curves ``(B, R)`` over the rate axis by the trapezoid rule.

    The linear axis runs over all rates, the logarithmic one from `LOWEST` on.

    Raises:
        InputError: too few rates for the axis asked for.
    """
    axis = torch.tensor(rates, dtype=values.dtype, device=values.device)
    if logarithmic:
        on = axis >= LOWEST
        axis, values = axis[on].log(), values[:, on]
    if len(axis) < 2:
        raise InputError(f"an area needs at least two rates of {LOWEST} or more")
    return torch.trapezoid(values, axis) / (axis[-1] - axis[0])


@torch.no_grad()
def insertion_deletion(rd: RateDistortion, explanation: Explanation, steps: int = 64) -> dict[str, Tensor]:
    """Class probability as coefficients are inserted into zero, and deleted, most relevant first.

    Shares 0, 1/steps, ..., 1; ``insertion`` and ``deletion`` are curves ``(B, steps + 1)``. No noise and no clipping;
    for the pixel transform the baseline is black (Petsiuk et al. 2018 in the coefficient domain, as WAM does).
    """
    encoded, place = explanation.encoded, places(explanation)
    counts = [round(step / steps * encoded.layout.k) for step in range(steps + 1)]
    ends = {count: reduced_probability(rd, encoded, (place < count)[:, None])[:, 0] for count in (0, counts[-1])}
    curves = {}
    for name in ("insertion", "deletion"):
        tops = torch.stack([place < count for count in counts[1:-1]], 1)  # (B, steps - 1, k)
        inner = reduced_probability(rd, encoded, tops if name == "insertion" else ~tops)
        first, last = ends[0], ends[counts[-1]]
        if name == "deletion":
            first, last = last, first
        curves[name] = torch.cat([first[:, None], inner, last[:, None]], 1)
    return curves


@torch.no_grad()
def reduced_probability(rd: RateDistortion, encoded: EncodedBatch, masks: Tensor) -> Tensor:
    """Class probability on ``T^-1(z * m)`` for masks ``(B, N, k)`` -> ``(B, N)``, in chunks."""
    images = []
    for index in range(len(masks)):
        part = encoded.of(slice(index, index + 1))
        logits = [
            reduced_logits(rd, part, chunk.to(encoded.image.dtype))
            for chunk in masks[index].split(rd.internal_batch_size)
        ]
        images.append(of_class(rd.classifier.probabilities(torch.cat(logits))[None], part.target))
    return torch.cat(images)


def subsets(encoded: EncodedBatch, count: int, share: float, seed: int = EVALUATION_SEED) -> Tensor:
    """Random subsets of ``round(share k)`` entries per image: ``(B, count, k)`` bool, the same for every method."""
    k = encoded.layout.k
    numbers = NoiseStreams.of(encoded.image, seed, "subsets").fill(
        uniform, slice(None), count, (k,), encoded.image.dtype
    )
    chosen = numbers.topk(round(share * k), dim=-1, sorted=False).indices
    return torch.zeros(numbers.shape, dtype=torch.bool, device=numbers.device).scatter_(-1, chosen, True)


def subset_drops(rd: RateDistortion, encoded: EncodedBatch, chosen: Tensor) -> Tensor:
    """``Phi_c(x) - Phi_c(x with the subset set to zero)`` for subsets ``(B, N, k)`` -> ``(B, N)``."""
    return class_probability(encoded)[:, None] - reduced_probability(rd, encoded, ~chosen)


def mu_fidelity(explanation: Explanation, chosen: Tensor, drops: Tensor) -> Tensor:
    """Pearson correlation ``(B,)`` of the attribution in a subset and the drop of the class probability without it.

    The attribution is signed where the method has signs. NaN where either does not vary.
    """
    values = explanation.relevance if explanation.signed is None else explanation.signed
    sums = torch.stack([(one * mask).sum(-1) for one, mask in zip(values, chosen, strict=True)])
    return pearson(sums, drops)


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Correlation along the last axis; NaN where one side is constant."""
    a, b = (v.double() - v.double().mean(-1, keepdim=True) for v in (a, b))
    norms = a.norm(dim=-1) * b.norm(dim=-1)
    return torch.where(norms > 0, (a * b).sum(-1) / norms, torch.nan)


def spearman_within_levels(a: Tensor, b: Tensor, level: Tensor) -> Tensor:
    """Rank correlation of two relevances ``(B, k)`` within each level, ``(B, levels)``; ties share their mean rank.

    Over all entries at once any two explanations correlate, because levels do.
    """
    columns = [pearson(mean_ranks(a[:, level == one]), mean_ranks(b[:, level == one])) for one in level.unique()]
    return torch.stack(columns, 1)


def mean_ranks(values: Tensor) -> Tensor:
    """Ranks along the last axis, equal values sharing the mean of theirs."""
    rows = []
    for row in values:
        _, inverse, counts = row.unique(return_inverse=True, return_counts=True)
        last = counts.cumsum(0).double()
        rows.append((last - (counts - 1) / 2)[inverse])
    return torch.stack(rows)


INFORMATION = ("pixels", "coefficients", "entropy")


@torch.no_grad()
def conciseness_preciseness(rd: RateDistortion, explanation: Explanation) -> dict[str, Tensor]:
    """``(Phi_c(e) / Phi_c(x)) / (info(e) / info(x))`` of the explanation ``e = clamp(T^-1(s h), 0, 1)``, ``(B,)`` each.

    Information is the l1 norm of pixels or coefficients, or the exponential of the entropy of the squared, normalised
    coefficients (ShearletX; Kolek et al., CVPR 2023). NaN for an explanation without any.
    """
    encoded = explanation.encoded
    masks = encoded.layout.split(explanation.mask[:, None])
    picture = rd.picture(encoded.coefficients.map(torch.mul, masks))
    share = of_class(rd.phi(picture), encoded.target) / class_probability(encoded)
    after, before = (information(rd, image) for image in (picture, encoded.image))
    return {name: torch.where(after[name] > 0, share * before[name] / after[name], torch.nan) for name in INFORMATION}


def information(rd: RateDistortion, image: Tensor) -> dict[str, Tensor]:
    """The three measures of `conciseness_preciseness`, ``(B,)`` each."""
    h = rd.transform(image).flat.abs().flatten(1)
    p = h.square() / h.square().sum(1, keepdim=True)
    entropy = torch.special.entr(p).sum(1).exp()
    return {"pixels": image.abs().flatten(1).sum(1), "coefficients": h.sum(1), "entropy": entropy.nan_to_num(0)}


def hallucination(image: Tensor, picture: Tensor) -> Tensor:
    """Edges of a grey picture ``(B, 1, H, W)`` that the image ``(B, C, H, W)`` lacks, over the image's edges, ``(B,)``.

    Canny edges (`CANNY`), those of the image widened by one pixel (ShearletX). NaN for an image without edges.
    """
    shares = []
    for own, drawn in zip(image.mean(1).cpu().numpy(), picture[:, 0].cpu().numpy(), strict=True):
        edges, found = (canny(values.astype(np.float64), **CANNY) for values in (own, drawn))
        new = found & ~binary_dilation(edges, np.ones((3, 3), bool))
        shares.append(new.sum() / edges.sum() if edges.any() else np.nan)
    return torch.tensor(np.array(shares), dtype=image.dtype, device=image.device)


def break_even(training_seconds: float, teacher_seconds: Tensor, amortized_seconds: Tensor) -> Tensor:
    """Images after which training and amortized inference cost less than the teacher; infinite where they never do."""
    saved = teacher_seconds - amortized_seconds
    return torch.where(saved > 0, training_seconds / saved, torch.inf)
