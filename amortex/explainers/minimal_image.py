"""Minimal images (WAM, section 4.2): the fewest coefficients that keep the class, the rest set to zero."""

import math

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.masks import energy, order
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import Explainer, Explanation, OnStep
from amortex.explainers.optimizers import ProjectedOptimizer, cosine
from amortex.explainers.wam import WAM
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.scores import reduced_logits


class MinimalImage(Explainer):
    """``min over m of -f_c(T^-1(z * m)) + alpha * mean(m)``, f_c the logit, by NAdam from ``m = 1``, m in [0, 1].

    The papers print ``+f_c``; minimising that would erase the class instead of keeping it. No noise, no clipping of the
    image: coefficients are set to zero.

    Arguments:
        rate_distortion: its classifier and transform are used.
        alpha: weight of the mean mask, in [0, 100] in the paper.
        steps, lr: of NAdam; the learning rate falls to zero on a cosine.
        seed: of the run (the method itself is not random).

    Raises:
        InputError: settings out of range.
    """

    def __init__(
        self, rate_distortion: RateDistortion, alpha: float = 100.0, steps: int = 500, lr: float = 2e-2, seed: int = 0
    ) -> None:
        super().__init__(rate_distortion, seed)
        if not (math.isfinite(alpha) and alpha >= 0) or steps < 1 or not 0 < lr < math.inf:
            raise InputError("alpha must be at least 0, steps at least 1, the learning rate above 0 and finite")
        self.alpha, self.steps, self.lr = alpha, steps, lr

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        mask = encoded.only_live(encoded.image.new_ones(len(encoded.image), encoded.layout.k))
        optimizer = ProjectedOptimizer(torch.optim.NAdam, mask, self.lr)
        for step in range(self.steps):
            chunks = self.rate_distortion.chunks(len(mask))
            gradients = [self._gradient(encoded.of(images), mask[images]) for images in chunks]
            optimizer.step(torch.cat(gradients), cosine(step / self.steps))
            on_step(step + 1, mask)
        return Explanation(encoded, mask, mask)

    def _gradient(self, encoded: EncodedBatch, mask: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = mask.detach().requires_grad_()
            logits = reduced_logits(self.rate_distortion, encoded, leaf)
            objective = self.alpha * encoded.rate(leaf) - logits.gather(1, encoded.target[:, None])[:, 0]
            return torch.autograd.grad(objective.sum(), leaf)[0]

    def settings(self) -> dict[str, str | int | float]:
        return {**super().settings(), "alpha": self.alpha, "steps": self.steps, "lr": self.lr}


class StaticMinimalImage(Explainer):
    """Coefficients by decreasing \\|WAM\\|: inserted into zero until the class is right, deleted until it is wrong.

    The mask is the inserted set. `extra` holds both shares, ``insertion`` and ``deletion``, each the first of
    `shares` that does it; NaN where none does, or, for deletion, where the class is not predicted to begin with.

    Arguments:
        rate_distortion: its classifier and transform are used.
        wam: the attribution that orders the coefficients; by default WAM's SmoothGrad.
        shares: number of shares tried, geometrically spaced from 0.1 % to all.
        seed: of the run.
    """

    def __init__(
        self, rate_distortion: RateDistortion, wam: WAM | None = None, shares: int = 64, seed: int = 0
    ) -> None:
        super().__init__(rate_distortion, seed)
        if shares < 2:
            raise InputError(f"at least 2 shares must be tried, not {shares}")
        self.wam = wam or WAM(rate_distortion, "smoothgrad", seed=seed)
        self.shares = shares

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        relevance = encoded.only_live(self.wam.attribution(encoded, streams).flat.abs().sum(1))
        # place of each entry in the order, from 0: "place < n" is the mask of the n first
        place = torch.argsort(order(relevance, energy(encoded.coefficients), encoded.live), dim=-1)
        shares = torch.logspace(-3, 0, self.shares, dtype=torch.float64, device=place.device)
        counts = (shares * encoded.entries).round().long().clamp(min=1).expand(len(place), -1)
        insertion = self._first(encoded, place, counts, delete=False)
        deletion = torch.where(encoded.predicted, self._first(encoded, place, counts, delete=True), -1)
        inserted = torch.where(insertion < 0, counts[:, -1], insertion)
        mask = (place < inserted[:, None]).to(relevance.dtype)
        on_step(1, mask)
        extra = {
            name: torch.where(count < 0, torch.nan, count / counts[:, -1])
            for name, count in (("insertion", insertion), ("deletion", deletion))
        }
        return Explanation(encoded, mask, relevance, extra=extra)

    @torch.no_grad()
    def _first(self, encoded: EncodedBatch, place: Tensor, counts: Tensor, delete: bool) -> Tensor:
        """Per image the first of its `counts` ``(B, N)`` that makes the class right (deletion: wrong); -1 if none."""
        size, classifier = self.rate_distortion.draws_at_once(1), self.rate_distortion.classifier
        hits = []
        for image in range(len(place)):
            part = encoded.of(slice(image, image + 1))
            right = []
            for chunk in counts[image].split(size):
                mask = place[image] < chunk[:, None]
                mask = (~mask if delete else mask).to(encoded.image.dtype)
                probabilities = classifier.probabilities(reduced_logits(self.rate_distortion, part, mask))
                right.append(classifier.decides(probabilities, part.target, part.highest))
            hits.append(~torch.cat(right) if delete else torch.cat(right))
        hit = torch.stack(hits)
        first = counts.gather(1, hit.to(torch.uint8).argmax(1, keepdim=True))[:, 0]
        return torch.where(hit.any(1), first, -1)

    def settings(self) -> dict[str, str | int | float]:
        return {**super().settings(), "wam": self.wam.variant, "samples": self.wam.samples, "shares": self.shares}
