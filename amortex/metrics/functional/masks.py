"""What masks achieve as they are: rate, distortion, the class under noise, conciseness and preciseness."""

import torch
from torch import Tensor

from amortex.core.noise_streams import EVALUATION_SEED, NoiseStreams
from amortex.explainers.base import Explanation
from amortex.rate_distortion.distortions import l2, of_class
from amortex.rate_distortion.encoded_batch import Outcome, class_probability
from amortex.rate_distortion.pipeline import RateDistortion

INFORMATION_MEASURES = ("pixels", "coefficients", "entropy")


def operating_point(
    rd: RateDistortion,
    explanation: Explanation,
    lambda_k: float = 5.0,
    samples: int = 64,
    seed: int = EVALUATION_SEED,
) -> dict[str, Tensor]:
    """What soft masks cost and keep (CartoonX, Fig. 7c), ``(B,)`` each, over `samples` draws.

    Returns:
        ``rate``; ``distortion``, that of `rd` (``label_max`` for a class that is not predicted); ``l2``; the
        ``objective`` at `lambda_k`; ``retained``, whether the class of the mean output is the explained one;
        ``retention``, the share of draws whose class is; and ``target_probability``, the mean probability of the
        explained class.

    >>> list(operating_point(rd, explanation, samples=2))
    ['rate', 'distortion', 'l2', 'objective', 'retained', 'retention', 'target_probability']
    """
    encoded = explanation.encoded
    (outputs,) = rd.probabilities(encoded, [explanation.mask], NoiseStreams.evaluation(encoded.image, seed), samples)
    rate, mean = encoded.rate(explanation.mask), outputs.mean(1)
    distortion = rd.distortions(encoded, outputs).mean(1)
    return {
        "rate": rate,
        "distortion": distortion,
        "l2": l2(encoded.probabilities, outputs, encoded.target).mean(1),
        "objective": distortion + lambda_k * rate,
        "retained": retains_class(rd, mean, encoded.target, encoded.highest).to(rate),
        "retention": retains_class(rd, outputs, encoded.target[:, None], encoded.highest[:, None]).mean(1).to(rate),
        "target_probability": of_class(mean, encoded.target),
    }


def mean_output(rd: RateDistortion, explanation: Explanation, samples: int = 64, seed: int = EVALUATION_SEED) -> Tensor:
    """Mean output ``(B, M)`` under masks and `samples` draws of noise."""
    encoded = explanation.encoded
    outcome: Outcome = rd(encoded, explanation.mask, NoiseStreams.evaluation(encoded.image, seed), samples)
    return outcome.probabilities


def retains_class(rd: RateDistortion, probabilities: Tensor, target: Tensor, highest: Tensor | None = None) -> Tensor:
    """Whether probabilities ``(..., M)`` decide for classes `target` ``(...)``: 1, 0, or NaN without numbers.

    `highest` is the class of the highest probability on the clean input, see `Classifier.decides`.

    >>> retains_class(rd, torch.tensor([[0.9, 0.1], [0.2, 0.8], [torch.nan, 0.5]]), torch.tensor([0, 0, 0]))
    tensor([1., 0., nan])
    """
    same = rd.classifier.decides(probabilities, target, highest).to(probabilities)
    return same.where(probabilities.isfinite().all(-1), torch.nan)


@torch.no_grad()
def conciseness_preciseness(rd: RateDistortion, explanation: Explanation) -> dict[str, Tensor]:
    """``(Phi_c(e) / Phi_c(x)) / (info(e) / info(x))`` of the explanation ``e = clip(T^-1(s h))``, ``(B,)`` each.

    Information is the l1 norm of the values or of the coefficients, or the exponential of the entropy of the squared,
    normalised coefficients (ShearletX; Kolek et al., CVPR 2023). NaN for an explanation without any.

    >>> list(conciseness_preciseness(rd, explanation))
    ['pixels', 'coefficients', 'entropy']
    """
    encoded = explanation.encoded
    explained = rd.picture(encoded.coefficients.masked(explanation.mask))
    share = of_class(rd.phi(explained), encoded.target) / class_probability(encoded)
    after, before = (information(rd, signal) for signal in (explained, encoded.image))
    return {
        name: torch.where(after[name] > 0, share * before[name] / after[name], torch.nan)
        for name in INFORMATION_MEASURES
    }


def information(rd: RateDistortion, signal: Tensor) -> dict[str, Tensor]:
    """The three measures of `conciseness_preciseness` of signals ``(B, C, *size)``, ``(B,)`` each."""
    magnitudes = rd.transform(signal).flat.abs().flatten(1)
    shares = magnitudes.square() / magnitudes.square().sum(1, keepdim=True)
    entropy = torch.special.entr(shares).sum(1).exp()
    return {
        "pixels": signal.abs().flatten(1).sum(1),
        "coefficients": magnitudes.sum(1),
        "entropy": entropy.nan_to_num(0),
    }
