"""Curves over the share of the coefficients that is kept: distortion, and class probability."""

from collections.abc import Sequence

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.masks import energy, order
from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams
from amortex.core.rates import CURVE_RATES, LOWEST_LOG_RATE
from amortex.explainers.base import Explanation
from amortex.metrics.functional.masks import retains_class
from amortex.rate_distortion.distortions import l2, of_class
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.scores import reduced_logits


def relevance_ranks(explanation: Explanation) -> Tensor:
    """The rank of each entry, 0 for the most relevant, ``(B, k)``: ``rank < n`` keeps the n most relevant entries."""
    encoded = explanation.encoded
    return order(explanation.relevance, energy(encoded.coefficients), encoded.live).argsort(-1)


def rate_distortion_curve(
    rd: RateDistortion,
    explanation: Explanation,
    rates: Sequence[float] = CURVE_RATES,
    samples: int = 64,
    noise_out: bool = False,
    seed: int = EVALUATION_SEED,
) -> dict[str, Tensor]:
    """Distortion when the top ``round(rate * k)`` entries are kept and noise replaces the rest (CartoonX, Fig. 7a).

    With `noise_out` noise replaces the top entries instead (Fig. 7b).

    Returns:
        ``l2`` and ``label_l2`` (``label_max`` for a class that is not predicted), means over the draws, ``(B, R)``;
        ``distortion``, that of `rd` in each of the L draws, ``(B, R, L)``; and ``retained`` ``(B, R)``: whether the
        class of the mean output is the explained one, NaN where outputs are not finite.

    >>> rate_distortion_curve(rd, explanation, rates=(0.0, 1.0), samples=2)["retained"].shape
    torch.Size([3, 2])
    """
    encoded, ranks = explanation.encoded, relevance_ranks(explanation)
    masks = []
    for rate in rates:
        top = ranks < kept_entries(encoded, rate)
        masks.append(encoded.only_live((~top if noise_out else top).to(encoded.image.dtype)))
    streams = NoiseStreams.evaluation(encoded.image, seed)
    outputs = rd.probabilities(encoded, masks, streams, samples)  # (R, B, L, M)
    distance = [l2(encoded.probabilities, output, encoded.target).mean(1) for output in outputs]
    label = [rd.distortions(encoded, output, "label_l2") for output in outputs]
    retained = retains_class(rd, outputs.mean(2), encoded.target, encoded.highest).T.to(label[0].dtype)
    own = label if rd.distortion == "label_l2" else [rd.distortions(encoded, output) for output in outputs]
    curves = {"l2": distance, "label_l2": [draws.mean(1) for draws in label], "distortion": own}
    return {**{name: torch.stack(values, 1) for name, values in curves.items()}, "retained": retained}


def kept_entries(encoded: EncodedBatch, rate: float) -> Tensor:
    """Number of live entries that masks of a rate keep, ``(B, 1)``, or one number ``()`` where all are live."""
    return (torch.as_tensor(rate, dtype=torch.float64, device=encoded.image.device) * encoded.entries).round()


def best_objective(rates: Sequence[float], distortion: Tensor, lambda_k: float) -> Tensor:
    """``D + lambda_k * R`` of each image ``(B,)`` at its best rate, from the distortions of L draws ``(B, R, L)``.

    The lowest of several noisy means is biased downwards. So the rate is chosen on one half of the draws and measured
    on the other, both ways, and the result is the mean of the two: unbiased for a rate that is chosen on half of the
    draws, and so never below the lowest J in expectation. A single draw is taken for exact, as it is where nothing is
    random.

    >>> draws = torch.tensor([[[0.7, 0.7], [0.1, 0.3], [0.0, 0.0]]])
    >>> best_objective((0.0, 0.5, 1.0), draws, lambda_k=1.0)  # the rate 0.5, or 0 after the second draw
    tensor([0.7500])
    """
    rate = torch.tensor(rates, dtype=distortion.dtype, device=distortion.device)
    half = distortion.shape[2] // 2
    first, second = (distortion[..., :half], distortion[..., half:]) if half else (distortion, distortion)
    one, other = (draws.mean(2) + lambda_k * rate for draws in (first, second))
    values = (one.gather(1, other.argmin(1, keepdim=True)) + other.gather(1, one.argmin(1, keepdim=True))) / 2
    return values.squeeze(1).where(~distortion.isnan().any(2).any(1), torch.nan)


def area(rates: Sequence[float], values: Tensor, logarithmic: bool = False) -> Tensor:
    """Mean height ``(B,)`` of curves ``(B, R)`` over the axis of rates, by the trapezoid rule.

    The linear axis runs over all rates, the logarithmic one from `LOWEST_LOG_RATE` on.

    Raises:
        InputError: too few rates for the axis.

    >>> area((0.0, 0.5, 1.0), torch.tensor([[1.0, 0.5, 0.0]]))
    tensor([0.5000])
    """
    axis = torch.tensor(rates, dtype=values.dtype, device=values.device)
    if logarithmic:
        on_axis = axis >= LOWEST_LOG_RATE
        axis, values = axis[on_axis].log(), values[:, on_axis]
    if len(axis) < 2:
        raise InputError(f"an area needs at least two rates of {LOWEST_LOG_RATE} or more")
    return torch.trapezoid(values, axis) / (axis[-1] - axis[0])


@torch.no_grad()
def insertion_deletion(rd: RateDistortion, explanation: Explanation, steps: int = 64) -> dict[str, Tensor]:
    """Class probability while coefficients are inserted into zero, and deleted, the most relevant ones first.

    There is no noise and no clipping. For the pixel transform the baseline is black (Petsiuk et al. 2018; in the
    coefficient domain as in WAM, Kasmi et al. 2025).

    Returns:
        ``insertion`` and ``deletion``, curves ``(B, steps + 1)`` at the shares 0, 1/steps, ..., 1.

    >>> insertion_deletion(rd, explanation, steps=4)["insertion"].shape
    torch.Size([3, 5])
    """
    encoded, ranks = explanation.encoded, relevance_ranks(explanation)
    counts = [kept_entries(encoded, step / steps) for step in range(steps + 1)]
    empty, full = (reduced_probability(rd, encoded, (ranks < count)[:, None]) for count in (0, counts[-1]))
    tops = torch.stack([ranks < count for count in counts[1:-1]], 1)  # (B, steps - 1, k)
    return {
        "insertion": torch.cat([empty, reduced_probability(rd, encoded, tops), full], 1),
        "deletion": torch.cat([full, reduced_probability(rd, encoded, ~tops), empty], 1),
    }


@torch.no_grad()
def reduced_probability(rd: RateDistortion, encoded: EncodedBatch, masks: Tensor) -> Tensor:
    """Class probability ``(B, N)`` on ``T^-1(h * m)`` for N masks ``(B, N, k)`` per image."""
    probabilities = []
    for index in range(len(masks)):
        image = encoded.of(slice(index, index + 1))
        logits = [
            reduced_logits(rd, image, masks[index, chunk].to(encoded.image.dtype)) for chunk in rd.chunks(len(masks[0]))
        ]
        probabilities.append(of_class(rd.classifier.probabilities(torch.cat(logits))[None], image.target))
    return torch.cat(probabilities)
