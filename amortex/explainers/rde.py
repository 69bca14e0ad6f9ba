"""Rate-distortion explanations by optimisation: CartoonX, ShearletX, Pixel RDE, ...: one loop on all transforms."""

import math

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import Explainer, Explanation, OnStep
from amortex.explainers.continuation import Continuation
from amortex.explainers.initial import initial_mask
from amortex.explainers.optimizers import ProjectedOptimizer, cosine
from amortex.explainers.presets import Initial, Preset, preset_of
from amortex.explainers.spatial_penalty import SpatialPenalty
from amortex.rate_distortion.distortions import NORMS
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion

# A mask that costs more than the empty one after so many steps will not get better; fewer steps are a trial.
FEWEST_STEPS_TO_GIVE_UP = 100


class RDE(Explainer):
    """``min over s of D(s) + lambda_k * mean(s)`` by projected Adam (CartoonX, Algorithm 1), batched over images.

    With a `spatial_penalty` lambda_2 the objective is ``D(s) + lambda_k * mean(s) + lambda_2 * P(s)``, see
    `SpatialPenalty` (ShearletX; Kolek et al., CVPR 2023).

    Each image has its own mask, noise and optimiser state, so that its result does not depend on the batch but through
    rounding (see `batch_invariant` of `RateDistortion`). The relevance of an entry is its mask value plus its mean over
    the steps, which tells zeros apart.

    Arguments:
        rate_distortion: classifier, transform, obfuscation and distortion.
        lambda_k: sparsity weight ``lambda * k``, as papers and code quote it; by default the preset's.
        preset: one of `PRESETS`, or a `Preset`.
        init: ``ones``, ``zeros``, ``random``, ``startgrad``, ``sensitivity``, or masks ``(B, k)``.
        spatial_penalty: weight lambda_2 of the mean absolute value of the explanation's pixels.
        seed: of the run.

    Raises:
        InputError: an unknown preset or start, or settings out of range.

    >>> explanation = RDE(RateDistortion(load_classifier()), lambda_k=5).explain(torch.rand(1, 3, 224, 224))
    """

    def __init__(
        self,
        rate_distortion: RateDistortion,
        lambda_k: float | None = None,
        preset: str | Preset = "fast",
        init: Initial | Tensor = "ones",
        spatial_penalty: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(rate_distortion, seed)
        if isinstance(preset, str):
            preset = preset_of(preset, len(rate_distortion.classifier.input_size) - 1)
        if preset.steps < 1 or preset.samples < 1 or not 0 < preset.lr < math.inf:
            raise InputError("steps and samples must be at least 1, and the learning rate above 0 and finite")
        if preset.peak < 0 or not preset.tolerance > 0:
            raise InputError("the continuation needs a peak of at least 0 and a tolerance above 0")
        self.lambda_k = preset.lambda_k if lambda_k is None else lambda_k
        if not (math.isfinite(self.lambda_k) and self.lambda_k >= 0):
            raise InputError(f"lambda_k must be a number of at least 0, not {self.lambda_k}")
        if not (math.isfinite(spatial_penalty) and spatial_penalty >= 0):
            raise InputError(f"the spatial penalty must be a number of at least 0, not {spatial_penalty}")
        self.preset, self.init, self.steps, self.spatial_penalty = preset, init, preset.steps, spatial_penalty

    def _explain(self, encoded: EncodedBatch, streams: NoiseStreams, on_step: OnStep) -> Explanation:
        preset, rd = self.preset, self.rate_distortion
        mask = initial_mask(self.init, rd, encoded, streams).clone()
        optimizer = ProjectedOptimizer(torch.optim.Adam, mask, preset.lr, betas=preset.betas)
        continuation = None
        if preset.peak and not isinstance(self.init, Tensor):  # a high weight would throw away what a given mask knows
            ends = self._ends(encoded, streams)
            is_norm = encoded.predicted & (rd.distortion in NORMS)  # that of other classes is none
            continuation = Continuation(self.lambda_k, preset.peak, preset.tolerance, *ends, mask, is_norm)
        spatial = SpatialPenalty(rd, encoded, self.spatial_penalty)
        survival = mask.clone()  # a given mask is an order already
        lambda_t = torch.full_like(mask[:, 0], self.lambda_k)
        for step in range(preset.steps):
            progress = step / preset.steps
            distortion, gradient = rd.value_and_gradient(encoded, mask, streams, preset.samples)
            if continuation:
                lambda_t = continuation.lambda_t(progress, distortion)
            gradient += lambda_t[:, None] / encoded.entries  # the rate is the mean of the mask
            gradient += spatial.gradient(mask)
            before = mask.clone()
            optimizer.step(gradient, cosine(progress) if preset.schedule == "cosine" else 1.0)
            if continuation:
                continuation.freeze_zeros(progress, before, mask)
                continuation.restore_ruined(progress, mask, optimizer.moments)
            survival += mask
            on_step(step + 1, mask)
        if continuation and preset.steps >= FEWEST_STEPS_TO_GIVE_UP:
            continuation.drop_losing_masks(mask, self.lambda_k * encoded.rate(mask) + spatial.value(mask))
        # most entries end at zero: those that held out longer are the more relevant ones
        return Explanation(encoded, mask, mask + survival / (preset.steps + 1))

    def _ends(self, encoded: EncodedBatch, streams: NoiseStreams) -> tuple[Tensor, Tensor]:
        """Distortions of the full and of the empty mask, ``(B,)``."""
        rd = self.rate_distortion
        full = rd.distortions(encoded, encoded.probabilities[:, None])[:, 0]
        empty = encoded.image.new_zeros(len(full), encoded.layout.k)
        samples = self.preset.empty_samples or self.preset.samples
        return full, rd(encoded, empty, streams, samples).distortion.mean(1)

    def settings(self) -> dict[str, str | int | float]:
        preset = self.preset
        return {
            **({} if preset.empty_samples is None else {"empty_samples": preset.empty_samples}),
            **super().settings(),
            "preset": preset.name,
            "lambda_k": self.lambda_k,
            "steps": preset.steps,
            "samples": preset.samples,
            "lr": preset.lr,
            "schedule": preset.schedule,
            "beta1": preset.betas[0],
            "beta2": preset.betas[1],
            "peak": preset.peak,
            "tolerance": preset.tolerance,
            **({"damage": "squared"} if preset.peak and self.rate_distortion.distortion in NORMS else {}),
            "init": self.init if isinstance(self.init, str) else "given",
            **({"spatial_penalty": self.spatial_penalty} if self.spatial_penalty else {}),
        }
