"""The class on what is kept alone, and without it: with zero for the rest, and no noise."""

import torch
from torch import Tensor

from amortex.explainers.base import Explanation
from amortex.metrics.functional.curves import kept_entries, relevance_ranks
from amortex.rate_distortion.distortions import of_class
from amortex.rate_distortion.encoded_batch import EncodedBatch, class_probability
from amortex.rate_distortion.pipeline import RateDistortion

MASKED_IN_MEASURES = ("ff", "fid_in", "ai", "ad", "ag")


def top_mask(explanation: Explanation, share: float) -> Tensor:
    """The mask ``(B, k)`` that keeps a share of the live entries, the most relevant ones; ties are broken by energy.

    >>> top_mask(explanation, 0.5).mean().item()
    0.5
    """
    encoded = explanation.encoded
    return (relevance_ranks(explanation) < kept_entries(encoded, share)).to(encoded.image.dtype)


@torch.no_grad()
def kept_signal(rd: RateDistortion, encoded: EncodedBatch, mask: Tensor) -> Tensor:
    """``clip(T^-1(s h))``, what masks s ``(B, k)`` keep of signals ``(B, C, *size)``, the rest zero.

    >>> whole = kept_signal(rd, explanation.encoded, torch.ones_like(explanation.mask))
    >>> torch.allclose(whole, explanation.encoded.image, atol=1e-5)
    True
    """
    return rd.picture(encoded.coefficients.masked(mask))


@torch.no_grad()
def masked_in(rd: RateDistortion, encoded: EncodedBatch, mask: Tensor) -> dict[str, Tensor]:
    """What masks s ``(B, k)`` say about the explained class c, ``(B,)`` each.

    With the probabilities p of c on the signal, p_in on what is kept, ``clip(T^-1(s h))``, and p_out without it,
    ``clip(T^-1((1 - s) h))``:

    Returns:
        ``ff``: ``p - p_out`` (its median over signals is WAM's faithfulness on sound); ``fid_in``: whether c has the
        highest probability on what is kept; ``ai``: whether ``p_in > p``; ``ad``: ``max(0, p - p_in) / p``; ``ag``:
        ``max(0, p_in - p) / (1 - p)``, zero where p is 1. NaN where outputs are not finite.

    References:
        Kasmi et al., One Wave To Explain Them All, ICML 2025, section 4.1; Paissan et al., Listenable Maps for Audio
        Classifiers, ICML 2024.

    >>> values = masked_in(rd, explanation.encoded, torch.ones_like(explanation.mask))
    >>> values["fid_in"].tolist()  # nothing is dropped
    [1.0, 1.0, 1.0]
    """
    target, p, chunks = encoded.target, class_probability(encoded), []
    for chunk in rd.chunks(len(mask)):
        part, kept = encoded.of(chunk), mask[chunk]
        chunks.append(torch.stack([rd.phi(kept_signal(rd, part, weights)) for weights in (kept, 1 - kept)]))
    outputs = torch.cat(chunks, 1)
    inside, outside = outputs
    p_in, p_out = of_class(inside, target), of_class(outside, target)
    values = {
        "ff": p - p_out,
        "fid_in": rd.classifier.decides(inside, target),
        "ai": p_in > p,
        "ad": (p - p_in).clamp(min=0) / p.clamp(min=torch.finfo(p.dtype).tiny),
        "ag": torch.where(p < 1, (p_in - p).clamp(min=0) / (1 - p), 0.0),
    }
    finite = outputs.isfinite().all(2).all(0)
    return {name: value.to(p).where(finite, torch.nan) for name, value in values.items()}
